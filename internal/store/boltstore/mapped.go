package boltstore

import (
	"fmt"
	"os"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

const (
	// mostMapped is how much of files may be in the process's memory, in bytes.
	mostMapped = 192 << 20
	// lookEvery is how much is read, in bytes, before it is looked how much that is.
	lookEvery = 16 << 20
	// around is what the kernel takes in with one page, at most.
	around = 64 << 10
)

// mapped lets go of the pages of the file that its readers have touched, once they are
// many: they count as the process's memory, and are the kernel's to keep or not. What is
// read again comes back from there.
type mapped struct{ since atomic.Int64 }

// read notes that so many bytes were read in the transaction, which keeps the mapping.
// That it cannot let go of anything is nobody's trouble.
func (m *mapped) read(tx *bolt.Tx, bytes int) {
	if m.since.Add(int64(bytes)) < lookEvery || tx.Size() < mostMapped {
		return
	}
	m.since.Store(0)
	if ofFiles() > mostMapped {
		m.letGo(tx)
	}
}

func (m *mapped) letGo(tx *bolt.Tx) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, tx.DB().Info().Data, uintptr(tx.Size()), unix.MADV_DONTNEED)
}

// ofFiles is how much of files is in the process's memory, in bytes.
func ofFiles() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared); err != nil {
		return 0
	}
	return shared * int64(os.Getpagesize())
}
