package allocator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/local"
)

// BenchmarkClaims measures what a rack that restarts asks for: claims of many nodes at
// once, each durable before it is answered, with an address and a MAC of the
// controller's choice, and a NIC that the node makes. It says how many are answered a
// second, and how long each takes, and how many a second are ready.
//
//	go test ./allocator -run '^$' -bench Claims -benchtime 20000x
func BenchmarkClaims(b *testing.B) {
	eachClients(b, func(b *testing.B) *claimRig {
		return openClaimRig(b, filepath.Join(b.TempDir(), "store.db"), boltstore.Options{})
	})
}

// heapGrowth is what nicferryd sets, unless it is told otherwise.
const heapGrowth = 300

// eachClients measures claims of one client, and of many at once, each on a node of its own.
func eachClients(b *testing.B, open func(*testing.B) *claimRig) {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(heapGrowth))
	}
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			r := open(b)
			defer r.stop()
			for c := range clients {
				if _, err := r.alloc.Hello(b.Context(), fmt.Sprintf("node-%d", c), nic.Inventory{Boot: "b"}); err != nil {
					b.Fatal(err)
				}
			}
			took := make([]time.Duration, b.N)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for c := range clients {
				wg.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						begin := time.Now()
						if _, err := r.claim(fmt.Sprintf("node-%d", c), i); err != nil {
							b.Error(err)
							return
						}
						took[i] = time.Since(begin)
					}
				})
			}
			wg.Wait()
			answered := b.Elapsed()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/answered.Seconds(), "claims/s")
			b.ReportMetric(float64(took[b.N/2].Microseconds())/1e3, "p50-ms")
			b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1e3, "p99-ms")
		})
	}
}

// untilReady waits until the claim has its NIC.
func (r *claimRig) untilReady(b testing.TB, claim nic.Claim) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	watch, err := r.records.Watch(ctx, "claim/"+string(claim.ID), r.began)
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Close()
	for {
		events, err := watch.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range events {
			if now, err := store.DecodeJSON[nic.Claim](e.Record); err == nil && now.Phase == nic.ClaimReady {
				return
			}
		}
	}
}

// An asker is who claims are asked of.
type asker interface {
	Acquire(ctx context.Context, owner nic.Owner, container string, req nic.Request) (nic.Claim, error)
}

// A claimRig is a controller whose nodes make the NICs.
type claimRig struct {
	via     func(node string) asker // the controller as the node reaches it
	records store.Store
	began   store.Rev
	opened  time.Duration
	alloc   *allocator.Allocator
	stop    func()
}

func openClaimRig(b testing.TB, path string, opts boltstore.Options) *claimRig {
	b.Helper()
	begin := time.Now()
	records, err := boltstore.Open(b.Context(), path, opts)
	if err != nil {
		b.Fatal(err)
	}
	opened := time.Since(begin)
	r := newClaimRig(b, records, nil)
	r.opened = opened
	return r
}

// newClaimRig has a controller work on the records, which stop closes.
func newClaimRig(b testing.TB, records store.Store, holds func(context.Context) error) *claimRig {
	b.Helper()
	_, began, err := records.List(b.Context(), "none", "", 1)
	if err != nil {
		b.Fatal(err)
	}
	p, err := local.New(local.Options{
		Name: "local", NICsPerNode: 1 << 20, Ledger: allocator.NewLedger(records, "local"), Nodes: allocator.NewNodes(records, "local"),
	})
	if err != nil {
		b.Fatal(err)
	}
	alloc, err := allocator.New(allocator.Options{
		Store: records, Holds: holds, Log: slog.New(slog.DiscardHandler), Workers: 32, MaxClaims: 1 << 20,
		Providers: map[string]provider.Provider{"local": p},
		Networks: []nic.Network{{
			Name: "lan", Provider: "local", Addressing: nic.AddrIPAM, Space: "default",
			Device: nic.Device{Kind: nic.Veth, Bridge: nic.Bridge{Name: "br0"}},
			Subnets: []nic.Subnet{{
				Prefix: netip.MustParsePrefix("10.0.0.0/8"),
				Ranges: []nic.Range{{First: netip.MustParseAddr("10.0.0.10"), Last: netip.MustParseAddr("10.255.255.250")}},
			}},
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := alloc.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	via := func(string) asker { return alloc }
	return &claimRig{via: via, records: records, began: began, alloc: alloc, stop: func() {
		cancel()
		wg.Wait()
		if err := records.Close(); err != nil {
			b.Error(err)
		}
	}}
}

func (r *claimRig) claim(node string, i int64) (nic.Claim, error) {
	owner := nic.Owner{Node: node, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", i), Interface: "eth0"}
	claim, err := r.via(node).Acquire(context.Background(), owner, fmt.Sprintf("name-%d", i), nic.Request{Interface: "eth0", Network: "lan", DefaultRoute: true})
	if err == nil && claim.Phase == nic.ClaimRefused {
		err = fmt.Errorf("claim %d: %+v", i, claim.Conditions)
	}
	return claim, err
}
