/*
 * texts.c -- a list of texts for the caller.
 * floor: storage     uses: storage.h     used by: storage, ffi
 *
 *   data     one\0two\0\0three\0
 *   offsets  0    4    8 9      15      text i is data[offsets[i] .. offsets[i+1] - 1)
 */
#include "storage/internal.h"

void
storage_texts_init(struct storage_texts *texts, struct mem *mem)
{
	*texts = (struct storage_texts){ .mem = mem };
	buf_init(&texts->data, mem);
}

static int
grow(struct storage_texts *texts)
{
	size_t room = texts->room != 0 ? texts->room * 2 : 16;
	uint64_t *offsets = mem_realloc(texts->mem, texts->offsets, (room + 1) * sizeof(*offsets));

	if (offsets == NULL)
		return ERR_MEMORY;
	if (texts->room == 0)
		offsets[0] = 0;
	texts->offsets = offsets;
	texts->room = room;
	return 0;
}

int
storage_texts_add(struct storage_texts *texts, struct bytes text)
{
	if (texts->count == texts->room)
		TRY(grow(texts));
	TRY(buf_reserve(&texts->data, text.len + 1));
	if (text.len > 0)
		memcpy(texts->data.data + texts->data.len, text.data, text.len);
	texts->data.data[texts->data.len + text.len] = 0;
	texts->data.len += text.len + 1;
	texts->offsets[++texts->count] = texts->data.len;
	return 0;
}

void
storage_texts_free(struct storage_texts *texts)
{
	buf_free(&texts->data);
	mem_free(texts->mem, texts->offsets);
	texts->offsets = NULL;
	texts->count = texts->room = 0;
}
