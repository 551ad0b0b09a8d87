package boltstore

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// A meta is one of the file's two headers.
type meta struct{ pageSize, root, freelist, pages, tx uint64 }

// readMetas returns the newer header. bbolt makes do with one that is good; to
// us that could mean the silent loss of the last commit. (A header is written
// by one sector, so that a power cut does not tear it.)
func readMetas(file io.ReaderAt) (meta, error) {
	a, errA := readMeta(file, 0, 0)
	if errA == nil {
		b, err := readMeta(file, 1, int64(a.pageSize))
		if err != nil {
			return meta{}, fmt.Errorf("the second of two headers: %w", err)
		}
		if b.tx > a.tx {
			return b, nil
		}
		return a, nil
	}
	for size := int64(os.Getpagesize()); size <= 1<<16; size *= 2 {
		if _, err := readMeta(file, 1, size); err == nil {
			return meta{}, fmt.Errorf("the first of two headers is damaged: %w", ErrDamaged)
		}
	}
	return meta{}, errA
}

func readMeta(file io.ReaderAt, id uint64, at int64) (meta, error) {
	var page [headerSize + metaSize]byte
	if _, err := file.ReadAt(page[:], at); errors.Is(err, io.EOF) {
		return meta{}, fmt.Errorf("the file is too short: %w", ErrDamaged)
	} else if err != nil {
		return meta{}, err
	}
	data := page[headerSize:]
	if order.Uint32(data) != metaMagic {
		return meta{}, fmt.Errorf("the mark of a bbolt file is missing: %w", ErrForeign)
	}
	hash := fnv.New64a()
	hash.Write(data[:metaSize-8])
	if order.Uint32(data[4:]) != metaVersion || order.Uint64(data[metaSize-8:]) != hash.Sum64() ||
		order.Uint16(page[8:]) != metaPage || order.Uint64(page[:]) != id {
		return meta{}, fmt.Errorf("header %d or its checksum is wrong: %w", id, ErrDamaged)
	}
	m := meta{
		pageSize: uint64(order.Uint32(data[8:])),
		root:     order.Uint64(data[16:]),
		freelist: order.Uint64(data[32:]),
		pages:    order.Uint64(data[40:]),
		tx:       order.Uint64(data[48:]),
	}
	if m.pageSize < headerSize+metaSize || m.pageSize > 1<<24 {
		return meta{}, fmt.Errorf("a header has a page size of %d: %w", m.pageSize, ErrDamaged)
	}
	return m, nil
}
