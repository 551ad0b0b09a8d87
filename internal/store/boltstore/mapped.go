package boltstore

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	// mostOpening is how much of files there may be while bbolt opens the file, in bytes:
	// nothing else takes much then.
	mostOpening = 128 << 20
	// lookOpening is how often it is looked then.
	lookOpening = 5 * time.Millisecond
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

func (m *mapped) letGo(tx *bolt.Tx) { letGo(tx.DB().Info().Data, uintptr(tx.Size())) }

func letGo(from, size uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, size, unix.MADV_DONTNEED)
}

// letGoOpening lets go of the file's pages, if they are more than most in bytes, until stop
// is called: while bbolt opens the file for writing it touches them all, more than once.
// The mapping is still there when its pages are let go of: the file is locked, and of one
// that has been verified bbolt gives a mapping up only when it is closed.
func letGoOpening(file *os.File, most int64) (stop func()) {
	name, err := os.Readlink(fmt.Sprint("/proc/self/fd/", file.Fd()))
	if err != nil {
		return func() {}
	}
	look := func() {
		if ofFiles() > most {
			from, to := mappingOf(name)
			letGo(from, to-from)
		}
	}
	var wg sync.WaitGroup
	ended := make(chan struct{})
	wg.Go(func() {
		ticker := time.NewTicker(lookOpening)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				look()
			}
		}
	})
	return func() {
		close(ended)
		wg.Wait()
		look()
	}
}

// mappingOf is where in memory the file is shared under this name, the kernel's for it;
// 0, 0 if it is not.
func mappingOf(name string) (from, to uintptr) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		at := strings.IndexByte(line, '/')
		if at < 0 || strings.TrimSuffix(line[at:], "\n") != name {
			continue
		}
		var perms string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perms); err == nil && strings.HasSuffix(perms, "s") {
			return from, to
		}
	}
	return 0, 0
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
