package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// bbolt's file format, version 2, with integers of the machine's byte order:
//
//	page    id u64 | flags u16 | count u16 | overflow u32 | elements
//	meta    magic u32 | version u32 | page size u32 | flags u32 | root u64 |
//	        sequence u64 | freelist u64 | pages u64 | transaction u64 | FNV-1a u64
//	branch  position u32 | key size u32 | page u64
//	leaf    flags u32 | position u32 | key size u32 | value size u32
//	bucket  (a leaf's value) root u64 | sequence u64 | the page itself if root is 0
//
// A position counts from its own element.
const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64
	headerSize  = 16
	elementSize = 16
	bucketSize  = 16

	branchPage   = 1
	leafPage     = 2
	metaPage     = 4
	freelistPage = 16

	leafIsBucket = 1

	maxDepth = 64
)

var order = binary.NativeEndian

// A verifier reads the pages of a file that nobody else writes. It trusts
// nothing: bbolt would crash, or loop, over what it refuses.
type verifier struct {
	file     io.ReaderAt
	pageSize uint64
	seen     []bool // by page
	// buffers are what the pages of each level are read into: of one level one is in
	// use at a time.
	buffers [maxDepth + 1][]byte
}

// verify returns an ErrDamaged or ErrForeign unless the file is a bbolt
// database with two good headers and whole, ordered trees.
func verify(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return fmt.Errorf("the file is empty: %w", ErrDamaged)
	}
	m, err := readMetas(file)
	if err != nil {
		return err
	}
	if m.pages > uint64(info.Size())/m.pageSize {
		return fmt.Errorf("the file ends after %d bytes of %d pages: %w", info.Size(), m.pages, ErrDamaged)
	}
	v := verifier{file: file, pageSize: m.pageSize, seen: make([]bool, m.pages)}
	if m.freelist != ^uint64(0) { // a tool has stored one
		if _, err := v.page(m.freelist, 0, freelistPage); err != nil {
			return err
		}
	}
	return v.tree(m.root, span{}, 0)
}

// page reads a page that nothing else may refer to, into the buffer of its level.
func (v *verifier) page(id uint64, depth int, flags ...uint16) ([]byte, error) {
	if id < 2 || id >= uint64(len(v.seen)) {
		return nil, fmt.Errorf("page %d of %d is referred to: %w", id, len(v.seen), ErrDamaged)
	}
	data, err := v.read(id, depth, 1)
	if err != nil {
		return nil, err
	}
	more := uint64(order.Uint32(data[12:]))
	if order.Uint64(data) != id || id+more >= uint64(len(v.seen)) || !allowed(data, flags) {
		return nil, fmt.Errorf("the head of page %d is wrong: %w", id, ErrDamaged)
	}
	for i := id; i <= id+more; i++ {
		if v.seen[i] {
			return nil, fmt.Errorf("page %d is referred to twice: %w", i, ErrDamaged)
		}
		v.seen[i] = true
	}
	if more == 0 {
		return data, nil
	}
	return v.read(id, depth, more+1)
}

func (v *verifier) read(id uint64, depth int, pages uint64) ([]byte, error) {
	size := int(pages * v.pageSize)
	if cap(v.buffers[depth]) < size {
		v.buffers[depth] = make([]byte, size)
	}
	data := v.buffers[depth][:size]
	_, err := v.file.ReadAt(data, int64(id*v.pageSize))
	return data, err
}

func allowed(header []byte, flags []uint16) bool {
	for _, f := range flags {
		if order.Uint16(header[8:]) == f {
			return true
		}
	}
	return false
}

// A span is the keys from, including, to before; nil: no bound.
type span struct{ from, before []byte }

func (v *verifier) tree(id uint64, keys span, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d is %d levels down: %w", id, depth, ErrDamaged)
	}
	page, err := v.page(id, depth, branchPage, leafPage)
	if err != nil {
		return err
	}
	if err := v.elements(page, keys, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (v *verifier) elements(page []byte, keys span, depth int) error {
	count := int(order.Uint16(page[10:]))
	isBranch := order.Uint16(page[8:]) == branchPage
	if headerSize+count*elementSize > len(page) || (isBranch && count == 0) {
		return fmt.Errorf("%d elements: %w", count, ErrDamaged)
	}
	var before element
	for i := range count {
		e, err := readElement(page, i, isBranch)
		if err != nil {
			return err
		}
		if (i > 0 && bytes.Compare(before.key, e.key) >= 0) || bytes.Compare(e.key, keys.from) < 0 ||
			(keys.before != nil && bytes.Compare(e.key, keys.before) >= 0) {
			return fmt.Errorf("element %d is out of order: %w", i, ErrDamaged)
		}
		switch {
		case e.isBucket:
			err = v.bucket(e.value, depth+1)
		case isBranch && i > 0:
			err = v.tree(before.page, span{before.key, e.key}, depth+1)
		}
		if err != nil {
			return err
		}
		before = e
	}
	if isBranch {
		return v.tree(before.page, span{before.key, keys.before}, depth+1)
	}
	return nil
}

func (v *verifier) bucket(value []byte, depth int) error {
	if len(value) < bucketSize {
		return fmt.Errorf("a bucket of %d bytes: %w", len(value), ErrDamaged)
	}
	if root := order.Uint64(value); root != 0 {
		return v.tree(root, span{}, depth)
	}
	page := value[bucketSize:]
	if depth > maxDepth || len(page) < headerSize || order.Uint16(page[8:]) != leafPage {
		return fmt.Errorf("a bucket without a page: %w", ErrDamaged)
	}
	return v.elements(page, span{}, depth)
}

type element struct {
	key, value []byte
	page       uint64 // of a branch
	isBucket   bool
}

// readElement takes an i that is within the page.
func readElement(page []byte, i int, isBranch bool) (element, error) {
	at := uint64(headerSize + i*elementSize)
	head := page[at : at+elementSize]
	var (
		e                 element
		start, klen, vlen uint64
	)
	if isBranch {
		start, klen = uint64(order.Uint32(head)), uint64(order.Uint32(head[4:]))
		e.page = order.Uint64(head[8:])
	} else {
		start, klen, vlen = uint64(order.Uint32(head[4:])), uint64(order.Uint32(head[8:])), uint64(order.Uint32(head[12:]))
		flags := order.Uint32(head)
		if e.isBucket = flags == leafIsBucket; flags > leafIsBucket {
			return element{}, fmt.Errorf("element %d has flags %#x: %w", i, flags, ErrDamaged)
		}
	}
	start += at
	if klen == 0 || start+klen+vlen > uint64(len(page)) {
		return element{}, fmt.Errorf("element %d lies outside: %w", i, ErrDamaged)
	}
	e.key, e.value = page[start:start+klen], page[start+klen:start+klen+vlen]
	return e, nil
}
