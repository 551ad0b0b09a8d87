package boltstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"github.com/nicferry/nicferry/internal/store"
)

// schema is the version of the layout. See Store.
const schema = 1

const (
	entryHeader = 16 // bytes before a record's value
	stateSize   = 32
)

// ourBucket tells our files from other bbolt files.
const ourBucket = "nicferry"

// buckets are those of one transaction.
type buckets struct{ ours, records *bolt.Bucket }

// bucketsOf takes a file that checkLayout has accepted.
func bucketsOf(tx *bolt.Tx) buckets {
	return buckets{ours: tx.Bucket([]byte(ourBucket)), records: tx.Bucket([]byte("records"))}
}

// makeBuckets lays out a new file.
func makeBuckets(tx *bolt.Tx) error {
	for _, name := range []string{ourBucket, "records"} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	b := bucketsOf(tx)
	if err := b.ours.Put([]byte("schema"), []byte(strconv.Itoa(schema))); err != nil {
		return err
	}
	return b.putState(state{})
}

// A state sums up the store.
type state struct {
	rev   store.Rev
	count uint64 // records
	sum   uint64 // of their checksums, modulo 2⁶⁴
}

func (b buckets) state() (state, error) {
	data := b.ours.Get([]byte("state"))
	if len(data) != stateSize {
		return state{}, fmt.Errorf("the state has %d bytes, not %d: %w", len(data), stateSize, ErrDamaged)
	}
	be := binary.BigEndian
	if be.Uint64(data[24:]) != checksum(data[:24]) {
		return state{}, fmt.Errorf("the state's checksum is wrong: %w", ErrDamaged)
	}
	return state{rev: store.Rev(be.Uint64(data)), count: be.Uint64(data[8:]), sum: be.Uint64(data[16:])}, nil
}

func (b buckets) putState(s state) error {
	be := binary.BigEndian
	data := be.AppendUint64(make([]byte, 0, stateSize), uint64(s.rev))
	data = be.AppendUint64(data, s.count)
	data = be.AppendUint64(data, s.sum)
	data = be.AppendUint64(data, checksum(data))
	return b.ours.Put([]byte("state"), data)
}

// An entry is a stored record without its key.
type entry struct {
	rev      store.Rev
	checksum uint64
	value    []byte // part of what was decoded
}

// encode returns what is stored, and its checksum; its value is what follows the
// entryHeader.
func encode(key string, rev store.Rev, value []byte) (stored []byte, sum uint64) {
	be := binary.BigEndian
	stored = be.AppendUint64(make([]byte, 0, entryHeader+len(value)), uint64(rev))
	sum = checksum([]byte(key), stored, value)
	return append(be.AppendUint64(stored, sum), value...), sum
}

func decode[K ~string | ~[]byte](key K, stored []byte) (entry, error) {
	if len(stored) < entryHeader {
		return entry{}, fmt.Errorf("record %q has %d bytes, fewer than %d: %w", key, len(stored), entryHeader, ErrDamaged)
	}
	e := entry{
		rev:      store.Rev(binary.BigEndian.Uint64(stored)),
		checksum: binary.BigEndian.Uint64(stored[8:]),
		value:    stored[entryHeader:],
	}
	if e.checksum != checksum([]byte(key), stored[:8], e.value) { // no copy of a key of bytes
		return entry{}, fmt.Errorf("the checksum of record %q is wrong: %w", key, ErrDamaged)
	}
	return e, nil
}

func checksum(parts ...[]byte) uint64 {
	table := crc64.MakeTable(crc64.ECMA) // the package keeps it
	var sum uint64
	for _, p := range parts {
		sum = crc64.Update(sum, table, p)
	}
	return sum
}
