package memstore

import (
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
)

// mostInChunk bounds what one insertion moves.
const mostInChunk = 512

// sorted are records by key, in chunks: one more of a million costs as much as one more
// of a thousand.
type sorted struct {
	chunks [][]store.Record // none is empty
}

// A spot is where a record is, or where it would be.
type spot struct{ chunk, at int }

// find returns a key's spot.
func (s *sorted) find(key string) (spot, bool) {
	// The last chunk that begins with the key or before it.
	c, begins := slices.BinarySearchFunc(s.chunks, key, func(chunk []store.Record, key string) int { return strings.Compare(chunk[0].Key, key) })
	if !begins && c > 0 {
		c--
	}
	if c == len(s.chunks) {
		return spot{c, 0}, false
	}
	at, found := slices.BinarySearchFunc(s.chunks[c], key, func(r store.Record, key string) int { return strings.Compare(r.Key, key) })
	return spot{c, at}, found
}

func (s *sorted) get(i spot) *store.Record { return &s.chunks[i.chunk][i.at] }

// insert puts a record at a spot that find has said is its own.
func (s *sorted) insert(i spot, r store.Record) {
	if len(s.chunks) == 0 {
		s.chunks = [][]store.Record{{r}}
		return
	}
	chunk := slices.Insert(s.chunks[i.chunk], i.at, r)
	s.chunks[i.chunk] = chunk
	if len(chunk) > mostInChunk {
		half := len(chunk) / 2
		s.chunks[i.chunk] = slices.Clone(chunk[:half])
		s.chunks = slices.Insert(s.chunks, i.chunk+1, slices.Clone(chunk[half:]))
	}
}

func (s *sorted) remove(i spot) {
	if s.chunks[i.chunk] = slices.Delete(s.chunks[i.chunk], i.at, i.at+1); len(s.chunks[i.chunk]) == 0 {
		s.chunks = slices.Delete(s.chunks, i.chunk, i.chunk+1)
	}
}

// from yields the records from a spot on.
func (s *sorted) from(i spot) func(yield func(store.Record) bool) {
	return func(yield func(store.Record) bool) {
		for ; i.chunk < len(s.chunks); i = (spot{i.chunk + 1, 0}) {
			for _, r := range s.chunks[i.chunk][i.at:] {
				if !yield(r) {
					return
				}
			}
		}
	}
}
