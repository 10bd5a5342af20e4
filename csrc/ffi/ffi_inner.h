/*
 * ffi_inner.h -- what the files of this floor share.
 * floor: ffi     uses: tsengine.h storage     used by: ffi.c ffi_look.c
 *
 * Threads    the account is atomic; the rest has no state.
 */
#ifndef TSE_FFI_INNER_H
#define TSE_FFI_INNER_H

#include "ffi/tsengine.h"
#include "storage/storage.h"

/* What the caller frees, maybe after the database is gone. */
extern struct mem ffi_handed_out;

/* ERR_FORMAT: an argument is NULL. */
int ffi_missing(const char *what);
/* Gives the texts to the caller when rc is 0, else frees them; returns the code. */
int ffi_list_end(int rc, struct storage_texts *texts, struct tse_list *out);

static inline struct storage *
ffi_inner_db(struct tse_db *db)
{
	return (struct storage *)db;
}

#endif
