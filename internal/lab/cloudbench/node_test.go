//go:build linux

package cloudbench

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// controller is a real one with a provider in memory; it serves on the address until
// the test ends.
func controller(t *testing.T) (address string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	records := memstore.New(memstore.Options{})
	alloc, err := allocator.New(allocator.Options{
		Store: records, Log: log, Providers: map[string]provider.Provider{"cloud": fake.New(fake.Options{})},
		Networks: []nic.Network{
			{Name: cold, Provider: "cloud", Addressing: nic.AddrDHCP, Space: "default"},
			{Name: warm, Provider: "cloud", Addressing: nic.AddrDHCP, Space: "default", Pool: nic.Pool{Max: 1, Idle: nic.Duration(time.Hour)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := server.Listen(path, "root", log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = alloc.Run(ctx) })
	wg.Go(func() {
		_ = server.Run(ctx, ln, server.New(server.Options{
			Backend: alloc, Log: log, Kinds: []server.Kind{{Err: allocator.ErrNotFound, Code: api.CodeNotFound}},
		}), log)
	})
	t.Cleanup(func() { cancel(); wg.Wait(); _ = records.Close() })
	return "unix://" + path
}

// A node gets a NIC for its container, gives it back, and on a network with a reserve
// the next container gets that one.
func TestNodeWithAController(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	n, err := join(ctx, "n1", controller(t))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.follow(ctx) }()
	defer func() { cancel(); <-done; n.api.Close() }()
	for network, again := range map[string]bool{cold: false, warm: true} {
		var ids []nic.ID
		for range 2 {
			all := startAll(ctx, []*node{n}, network, 1)
			if all[0].err != nil || all[0].nic == "" || all[0].mac.IsZero() || all[0].took <= 0 {
				t.Fatalf("%s: %+v", network, all[0])
			}
			ids = append(ids, all[0].nic)
			if err := all[0].end(ctx); err != nil {
				t.Fatal(err)
			}
			err := lab.Until(ctx, "the NIC to be free", 20*time.Second, 5*time.Millisecond, func(ctx context.Context) error {
				list, err := n.api.NICs(ctx)
				for _, one := range list {
					if one.Network == network && one.Phase != nic.PhaseSpare {
						err = context.DeadlineExceeded
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if (ids[0] == ids[1]) != again {
			t.Errorf("%s: the containers got %v", network, ids)
		}
	}
}

// What is said once is not said again, a NIC that is not plugged in is not handed out,
// and what is gone is clean.
func TestNodeDoes(t *testing.T) {
	t.Parallel()
	come := make(chan handed, 1)
	n := &node{waiting: map[string]chan handed{"c1": come}, told: map[nic.ID]nic.Observed{}}
	w := nic.Wanted{NIC: "nic-1", Claim: "clm-1", Epoch: 1, Owner: nic.Owner{Sandbox: "c1"}}
	now := time.Now()
	if news := n.do([]nic.Wanted{{Claim: "clm-1"}, w}, now); len(news) != 0 || len(come) != 0 {
		t.Errorf("before it is plugged in: %+v", news)
	}
	w.Device.Kind = nic.Found
	if news := n.do([]nic.Wanted{w}, now); len(news) != 1 || news[0].State != nic.ObservedIn || !news[0].Running {
		t.Errorf("plugged in: %+v", news)
	}
	if h := <-come; h.nic != "nic-1" || !h.at.Equal(now) {
		t.Errorf("handed %+v", h)
	}
	if news := n.do([]nic.Wanted{w}, now.Add(time.Second)); len(news) != 0 {
		t.Errorf("said again: %+v", news)
	}
	w.Gone = true
	if news := n.do([]nic.Wanted{w}, now); len(news) != 1 || news[0].State != nic.ObservedClean {
		t.Errorf("gone: %+v", news)
	}
	spare := nic.Wanted{NIC: "nic-2", Device: nic.Device{Kind: nic.Found}}
	if news := n.do([]nic.Wanted{spare}, now); len(news) != 1 || news[0].State != nic.ObservedMade || len(n.told) != 1 {
		t.Errorf("in reserve: %+v, told %v", news, n.told)
	}
}
