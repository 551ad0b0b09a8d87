//go:build linux

package trust

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// BenchmarkS13 measures what TestS13 shows, in real time: TLS on loopback, the
// store on a disk, and everything on one machine, the flooding agents too. It
// says how long one tenant's requests take on an idle controller and beside
// another's 10,000, which 100 callers send; docs/bench-trust.md has its figures.
//
//	go test ./e2e/trust -run '^$' -bench S13 -benchtime 3x
func BenchmarkS13(b *testing.B) {
	for _, quota := range []int{0, redLimit} {
		b.Run(fmt.Sprintf("requests=%d", quota), func(b *testing.B) {
			var idle, flooded []time.Duration
			var lasts time.Duration
			for range b.N {
				r := newWire(b, quota)
				idle = append(idle, r.measure(b, nil)...)
				begin := time.Now()
				over := r.flood()
				flooded = append(flooded, r.measure(b, over)...)
				lasts += time.Since(begin)
				r.stop()
			}
			b.ReportMetric(0, "ns/op")
			for _, q := range []struct {
				name string
				at   int
			}{{"p50", 50}, {"p99", 99}} {
				b.ReportMetric(ms(quantile(idle, q.at)), "idle-"+q.name+"-ms")
				b.ReportMetric(ms(quantile(flooded, q.at)), "flood-"+q.name+"-ms")
			}
			b.ReportMetric(ms(quantile(flooded, 99))/ms(quantile(idle, 99)), "ratio-p99")
			b.ReportMetric(lasts.Seconds()/float64(b.N), "flood-s")
			b.ReportMetric(float64(len(flooded)), "samples")
		})
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func quantile(all []time.Duration, percent int) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)*percent/100]
}

// wire is a controller as it is, and its agents' clients.
type wire struct {
	blue *client.Client
	red  []*client.Client
	n    int
	stop func()
}

func newWire(b *testing.B, quota int) *wire {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	tenants := []nic.Tenant{{Name: "red", Quota: nic.Quota{NICs: 50, Requests: quota}}, {Name: "blue"}}
	of := func(node string) []string { tenant, _, _ := strings.Cut(node, "-"); return []string{tenant} }
	records := must(boltstore.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"), boltstore.Options{}))(b)
	alloc := must(allocator.New(allocator.Options{
		Store: records, Log: log, Tenants: tenants, TenantsOf: of,
		Providers: map[string]provider.Provider{"fake": fake.New(fake.Options{NICsPerInstance: 100_000})},
		Networks:  []nic.Network{{Name: "lan", Provider: "fake", Addressing: nic.AddrDHCP, Space: "default", Tenants: []string{"red", "blue"}}},
	}))(b)
	ca := must(certs.New(b.TempDir()))(b)
	own := must(ca.Server("127.0.0.1"))(b)
	ln := must(server.ListenTLS("127.0.0.1:0", mtls.Files(own), log))(b)
	handler := server.New(server.Options{
		Backend: alloc, Log: log, Tenants: tenants, TenantsOf: of, Kinds: []server.Kind{{Err: allocator.ErrNotFound, Code: api.CodeNotFound}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = alloc.Run(ctx) })
	wg.Go(func() { _ = server.Run(ctx, ln, handler, log) })
	w := &wire{}
	join := func(node string) *client.Client {
		pair := must(ca.Node(node))(b)
		c := must(client.Open(client.Options{Addresses: []string{"https://" + ln.Addr().String()}, TLS: mtls.Files(pair)}))(b)
		must(c.Hello(b.Context(), node, nic.Inventory{Boot: "b"}))(b)
		return c
	}
	w.blue = join("blue-0")
	for i := range redNodes {
		w.red = append(w.red, join(fmt.Sprintf("red-%d", i)))
	}
	w.stop = func() {
		for _, c := range append(w.red, w.blue) {
			c.Close()
		}
		cancel()
		wg.Wait()
		_ = records.Close()
	}
	return w
}

// must ends the benchmark if err is one.
func must[T any](v T, err error) func(b *testing.B) T {
	return func(b *testing.B) T {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
}

func (w *wire) acquire(c *client.Client, node string, n int) error {
	owner := nic.Owner{Node: node, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", n), Interface: "eth0"}
	_, err := c.Acquire(context.Background(), owner, fmt.Sprintf("c%d", n), nic.Request{Interface: "eth0", Network: "lan", DefaultRoute: true})
	return err
}

// measure sends blue's requests, one each 10 ms: 300 of them, or until over.
func (w *wire) measure(b *testing.B, over func() bool) (took []time.Duration) {
	b.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := 0; over == nil && i < 300 || over != nil && !over(); i++ {
		w.n++
		name := w.n
		wg.Go(func() {
			begin := time.Now()
			err := w.acquire(w.blue, "blue-0", name)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begin))
			if err != nil {
				b.Errorf("blue's request: %v", err)
			}
		})
		time.Sleep(10 * time.Millisecond)
	}
	wg.Wait()
	return took
}

// flood sends red's 10,000 requests from 100 callers; what is refused is not
// repeated beyond what the client itself does.
func (w *wire) flood() (over func() bool) {
	var left, next atomic.Int64
	const callers, all = 100, 10_000
	left.Store(callers)
	for i := range callers {
		go func() {
			defer left.Add(-1)
			node := i % redNodes
			for n := next.Add(1); n <= all; n = next.Add(1) {
				_ = w.acquire(w.red[node], fmt.Sprintf("red-%d", node), 1<<20+int(n))
			}
		}()
	}
	return func() bool { return left.Load() == 0 }
}
