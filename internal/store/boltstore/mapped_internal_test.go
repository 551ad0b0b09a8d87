package boltstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
)

// The file's pages are let go of while it is opened, by the name that the kernel has for
// it, and what is in them can be read again.
func TestPagesAreLetGoOfWhileTheFileIsOpened(t *testing.T) {
	t.Parallel()
	const records = 64
	path := filepath.Join(t.TempDir(), "of two words.db")
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ops := make([]store.Op, records)
	for i := range ops {
		ops[i] = store.Create(fmt.Sprint("key-", i), make([]byte, 64<<10))
	}
	if _, err := s.Commit(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(link)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stop := letGoOpening(file, 0)
	list, _, err := s.List(t.Context(), "", "", 0)
	if err != nil || len(list) != records {
		t.Fatalf("%d records: %v", len(list), err)
	}
	stop()
	if rss := rssOf(t, path); rss != 0 {
		t.Errorf("%d KiB of it are in memory", rss)
	}
	if list, _, err = s.List(t.Context(), "", "", 0); err != nil || len(list) != records {
		t.Errorf("then %d records: %v", len(list), err)
	}
	letGoOpening(file, 1<<40)()
	if rss := rssOf(t, path); rss == 0 {
		t.Error("few pages are let go of, too")
	}
}

// Nothing else is taken for the file: another one, or a file that is mapped by a copy.
func TestMappingIsOfTheFileAlone(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{self, "/", "", "[heap]", filepath.Join(t.TempDir(), "none")} {
		if from, to := mappingOf(name); from != 0 || to != 0 {
			t.Errorf("%q is at %x-%x", name, from, to)
		}
	}
}

// rssOf is how much of the file's mapping is in memory, in KiB.
func rssOf(t *testing.T, path string) (kib int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	_, of, found := strings.Cut(string(text), path+"\n")
	_, of, ok := strings.Cut(of, "\nRss:")
	if _, err := fmt.Sscan(of, &kib); err != nil || !found || !ok {
		t.Fatalf("no mapping of %s: %v", path, err)
	}
	return kib
}
