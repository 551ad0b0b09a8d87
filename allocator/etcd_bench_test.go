package allocator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
	"github.com/nicferry/nicferry/internal/store/fenced"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/local"
)

// BenchmarkClaimsOnEtcd measures claims with an address and a MAC of the controller's
// choice and a NIC that the node makes, each durable on one local etcd, with fsync,
// before it is answered; the controller works on them meanwhile.
//
//	go test ./allocator -run '^$' -bench ClaimsOnEtcd -benchtime 5000x
func BenchmarkClaimsOnEtcd(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			alloc := onEtcd(b)
			for c := range clients {
				if _, err := alloc.Hello(b.Context(), fmt.Sprint("node-", c), nic.Inventory{Boot: "b"}); err != nil {
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
						owner := nic.Owner{Node: fmt.Sprint("node-", c), Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", i), Interface: "eth0"}
						begin := time.Now()
						claim, err := alloc.Acquire(b.Context(), owner, fmt.Sprint("name-", i), nic.Request{Interface: "eth0", Network: "lan", DefaultRoute: true})
						if err != nil || claim.Phase == nic.ClaimRefused {
							b.Errorf("claim %d: %+v, %v", i, claim.Conditions, err)
							return
						}
						took[i] = time.Since(begin)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "claims/s")
			b.ReportMetric(float64(took[b.N/2].Microseconds())/1e3, "p50-ms")
			b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1e3, "p99-ms")
		})
	}
}

// onEtcd is an allocator at work on an etcd of its own.
func onEtcd(b *testing.B) *allocator.Allocator {
	b.Helper()
	c := etcdtest.Start(b, etcdtest.Options{Program: etcdtest.Current(b), Sync: true})
	s, err := etcdstore.Open(b.Context(), etcdstore.Options{Endpoints: c.Endpoints})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	term, err := s.Lead(b.Context(), "controller")
	if err != nil {
		b.Fatal(err)
	}
	records := fenced.New(s, term)
	p, err := local.New(local.Options{
		Name: "local", NICsPerNode: 1 << 20, Ledger: allocator.NewLedger(records, "local"), Nodes: allocator.NewNodes(records, "local"),
	})
	if err != nil {
		b.Fatal(err)
	}
	alloc, err := allocator.New(allocator.Options{
		Store: records, Holds: records.Holds, Log: slog.New(slog.DiscardHandler), Workers: 32, MaxClaims: 1 << 20,
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := alloc.Run(ctx); err != nil {
			b.Error(err)
		}
	}()
	b.Cleanup(func() { cancel(); <-done })
	return alloc
}
