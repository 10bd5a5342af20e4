/*
 * block_header.c -- the records of index.bin and metaindex.bin (part format 5, 6).
 * floor: part     uses: block_header.h err.h     used by: part, merge, storage
 *
 * Block header: TSID (24 or 32 bytes), then                    Metaindex row: TSID, then
 *   OFFSET SIZE                                                  OFFSET SIZE
 *   0      8    first timestamp, zigzag                          0      4    block headers
 *   8      8    last timestamp, zigzag                           4      8    least timestamp, zigzag
 *   16     8    first mantissa, zigzag                           12     8    greatest timestamp, zigzag
 *   24     8    offset in timestamps.bin                         20     8    offset in index.bin
 *   32     8    offset in values.bin                             28     4    bytes in index.bin
 *   40     4    bytes in timestamps.bin
 *   44     4    bytes in values.bin
 *   48     4    rows
 *   52     2    exponent, zigzag
 *   54     1    marshal type of timestamps
 *   55     1    marshal type of values
 *   56     1    precision bits
 */
#include "part/block_header.h"

#include "base/err.h"

/* Type 0 passes here, as it does in the peer, and fails when the block is decoded. */
enum { MARSHAL_TYPE_MAX = 6, PRECISION_BITS_MAX = 64 };

uint8_t *
block_header_put(uint8_t *p, enum layout layout, const struct block_header *header)
{
	p = tsid_put(p, layout, &header->tsid);
	p = put_u64(p, zigzag64(header->min_timestamp_ms));
	p = put_u64(p, zigzag64(header->max_timestamp_ms));
	p = put_u64(p, zigzag64(header->first_value));
	p = put_u64(p, header->timestamps_offset);
	p = put_u64(p, header->values_offset);
	p = put_u32(p, header->timestamps_bytes);
	p = put_u32(p, header->values_bytes);
	p = put_u32(p, header->rows);
	p = put_u16(p, zigzag16(header->exponent));
	*p++ = header->timestamps_type;
	*p++ = header->values_type;
	*p++ = header->precision_bits;
	return p;
}

/* The rules of part format 6 that one header can break. */
static int
block_header_check(const struct block_header *header)
{
	if (header->rows == 0 || header->rows > BLOCK_ROWS_READ_MAX)
		return ERR(ERR_CORRUPTED, "a block header has %u rows, legal are 1 to %d", header->rows,
		    BLOCK_ROWS_READ_MAX);
	if (header->timestamps_type > MARSHAL_TYPE_MAX || header->values_type > MARSHAL_TYPE_MAX)
		return ERR(ERR_CORRUPTED, "a block header has marshal types %u and %u, the last one is %d",
		    header->timestamps_type, header->values_type, MARSHAL_TYPE_MAX);
	if (header->precision_bits == 0 || header->precision_bits > PRECISION_BITS_MAX)
		return ERR(ERR_CORRUPTED, "a block header has %u precision bits, legal are 1 to %d",
		    header->precision_bits, PRECISION_BITS_MAX);
	if (header->timestamps_bytes > BLOCK_PAYLOAD_BYTES_MAX || header->values_bytes > BLOCK_PAYLOAD_BYTES_MAX)
		return ERR(ERR_CORRUPTED, "a block header has payloads of %u and %u bytes, at most %d are legal",
		    header->timestamps_bytes, header->values_bytes, BLOCK_PAYLOAD_BYTES_MAX);
	if (header->min_timestamp_ms > header->max_timestamp_ms)
		return ERR(ERR_CORRUPTED, "a block header ends before it begins (%lld > %lld)",
		    (long long)header->min_timestamp_ms, (long long)header->max_timestamp_ms);
	return 0;
}

int
block_header_get(const uint8_t *p, enum layout layout, struct block_header *header)
{
	p = tsid_get(p, layout, &header->tsid);
	header->min_timestamp_ms = unzigzag64(get_u64(p));
	header->max_timestamp_ms = unzigzag64(get_u64(p + 8));
	header->first_value = unzigzag64(get_u64(p + 16));
	header->timestamps_offset = get_u64(p + 24);
	header->values_offset = get_u64(p + 32);
	header->timestamps_bytes = get_u32(p + 40);
	header->values_bytes = get_u32(p + 44);
	header->rows = get_u32(p + 48);
	header->exponent = unzigzag16(get_u16(p + 52));
	header->timestamps_type = p[54];
	header->values_type = p[55];
	header->precision_bits = p[56];
	return block_header_check(header);
}

uint8_t *
metaindex_row_put(uint8_t *p, enum layout layout, const struct metaindex_row *row)
{
	p = tsid_put(p, layout, &row->tsid);
	p = put_u32(p, row->headers);
	p = put_u64(p, zigzag64(row->min_timestamp_ms));
	p = put_u64(p, zigzag64(row->max_timestamp_ms));
	p = put_u64(p, row->index_offset);
	return put_u32(p, row->index_bytes);
}

int
metaindex_row_get(const uint8_t *p, enum layout layout, struct metaindex_row *row)
{
	p = tsid_get(p, layout, &row->tsid);
	row->headers = get_u32(p);
	row->min_timestamp_ms = unzigzag64(get_u64(p + 4));
	row->max_timestamp_ms = unzigzag64(get_u64(p + 12));
	row->index_offset = get_u64(p + 20);
	row->index_bytes = get_u32(p + 28);
	if (row->headers == 0)
		return ERR(ERR_CORRUPTED, "a metaindex row has no block headers");
	if (row->index_bytes > INDEX_BLOCK_BYTES_READ_MAX)
		return ERR(ERR_CORRUPTED, "a metaindex row has an index block of %u bytes, at most %d are legal",
		    row->index_bytes, INDEX_BLOCK_BYTES_READ_MAX);
	return 0;
}
