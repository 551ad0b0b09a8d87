package boltstore_test

import (
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Opened {
		const history = 16
		path := filepath.Join(t.TempDir(), "store.db")
		opts := boltstore.Options{History: history}
		current := open(t, path, opts)
		return storetest.Opened{
			Store:   current,
			History: history,
			Reopen: func(t *testing.T) store.Store {
				if err := current.Close(); err != nil {
					t.Fatal(err)
				}
				current = open(t, path, opts)
				return current
			},
		}
	})
}

// open opens a store that is closed with the test.
func open(t testing.TB, path string, opts boltstore.Options) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
