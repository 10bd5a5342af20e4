/*
 * part_window.c -- read-ahead over one file of a part.
 * floor: part     uses: part_window.h     used by: part_search.c
 */
#include "part/part_window.h"

#include "base/err.h"

/* Three windows and an index block stay under a megabyte; larger reads gain nothing on any disk tried. */
enum { WINDOW_AHEAD_MAX = 262144 };

void
part_window_init(struct part_window *window, struct mem *mem, const struct part *part, enum part_file which)
{
	*window =
	    (struct part_window){ .mem = mem, .sums = part->sums, .which = which, .ahead = PART_SUMS_CHUNK_BYTES };
	switch (which) {
	case PART_FILE_TIMESTAMPS:
		window->file = part->timestamps;
		window->file_bytes = part->timestamps_bytes;
		break;
	case PART_FILE_VALUES:
		window->file = part->values;
		window->file_bytes = part->values_bytes;
		break;
	default:
		assert(which == PART_FILE_INDEX);
		window->file = part->index;
		window->file_bytes = part->index_bytes;
		break;
	}
}

void
part_window_free(struct part_window *window)
{
	mem_free(window->mem, window->data);
	window->data = NULL;
	window->len = 0;
	window->cap = 0;
}

static size_t
smaller(size_t a, uint64_t b)
{
	return a < b ? a : (size_t)b;
}

/* Reads [offset, offset + n) and what lies ahead. n > 0, inside the file. */
static int
window_move(struct part_window *window, uint64_t offset, size_t n)
{
	size_t chunk = window->sums != NULL ? window->sums->chunk_bytes : PART_SUMS_CHUNK_BYTES;
	uint64_t end = window->start + window->len;
	uint64_t start = offset - offset % chunk;
	size_t len;

	/* on from here, or a jump? A record that straddles the window's end begins inside it. */
	if (window->len > 0 && offset >= window->start && offset <= end + chunk)
		window->ahead = smaller(window->ahead * 2, WINDOW_AHEAD_MAX);
	else
		window->ahead = PART_SUMS_CHUNK_BYTES;
	len = (size_t)(offset - start) + n;
	if (len < window->ahead)
		len = window->ahead;
	len = smaller((len + chunk - 1) / chunk * chunk, window->file_bytes - start);
	window->len = 0; /* if anything below fails, the window holds nothing */
	if (len > window->cap) {
		mem_free(window->mem, window->data);
		window->cap = 0;
		window->data = mem_alloc(window->mem, len);
		if (window->data == NULL)
			return ERR_MEMORY;
		window->cap = len;
	}
	TRY(io_pread(window->file, window->data, len, start));
	if (window->sums != NULL)
		TRY(part_sums_check(window->sums, window->which, io_path(window->file), start, window->data, len));
	window->start = start;
	window->len = len;
	return 0;
}

int
part_window_read(struct part_window *window, uint64_t offset, size_t n, struct bytes *out)
{
	if (n == 0) {
		*out = bytes_of("", 0);
		return 0;
	}
	if (offset > window->file_bytes || n > window->file_bytes - offset)
		return ERR_CORRUPT(io_path(window->file), offset, "%zu bytes are expected here, the file ends at %llu",
		    n, (unsigned long long)window->file_bytes);
	if (offset < window->start || offset + n > window->start + window->len)
		TRY(window_move(window, offset, n));
	*out = bytes_of(window->data + (offset - window->start), n);
	return 0;
}
