package etcdstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
	"github.com/nicferry/nicferry/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	conform(t, etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)}))
}

func TestStoreOnDebians(t *testing.T) {
	t.Parallel()
	conform(t, etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Debian(t)}))
}

// conform runs the suite, each test under a prefix of its own.
func conform(t *testing.T, c *etcdtest.Cluster) {
	var n atomic.Int64
	storetest.RunShared(t, func(t *testing.T) storetest.Opened {
		opts := etcdstore.Options{Endpoints: c.Endpoints, Prefix: fmt.Sprintf("/test/%d/", n.Add(1)), History: 16}
		current := open(t, opts)
		return storetest.Opened{
			Store: current, History: opts.History,
			Reopen: func(t *testing.T) store.Store {
				if err := current.Close(); err != nil {
					t.Fatal(err)
				}
				current = open(t, opts)
				return current
			},
		}
	})
}

// open opens a store that is closed with the test.
func open(t testing.TB, opts etcdstore.Options) *etcdstore.Store {
	t.Helper()
	s, err := etcdstore.Open(t.Context(), opts)
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
