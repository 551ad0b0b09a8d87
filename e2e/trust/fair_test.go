package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A slowStore takes a millisecond for a write, as a disk does, one after the
// other; whoever waits goes into the next one, up to a number.
type slowStore struct {
	store.Store
	mu      sync.Mutex
	waiting []chan struct{}
	busy    bool
}

const (
	writeTime = time.Millisecond
	perWrite  = 32
)

func (s *slowStore) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	written := make(chan struct{})
	s.mu.Lock()
	s.waiting = append(s.waiting, written)
	if !s.busy {
		s.busy = true
		go s.write()
	}
	s.mu.Unlock()
	<-written
	return s.Store.Commit(ctx, ops...)
}

// write works until nobody waits.
func (s *slowStore) write() {
	for {
		s.mu.Lock()
		now := s.waiting[:min(perWrite, len(s.waiting))]
		s.waiting = s.waiting[len(now):]
		s.busy = len(now) > 0
		s.mu.Unlock()
		if len(now) == 0 {
			return
		}
		time.Sleep(writeTime)
		for _, written := range now {
			close(written)
		}
	}
}

// fairRig is a controller's handler over the real allocator.
type fairRig struct {
	t       *testing.T
	handler http.Handler
	stop    func()
	n       int
}

const (
	redNodes = 10 // of the tenant that floods
	redLimit = 500
)

func newFairRig(t *testing.T) *fairRig {
	log := slog.New(slog.DiscardHandler)
	tenants := []nic.Tenant{{Name: "red", Quota: nic.Quota{NICs: 50, Requests: redLimit}}, {Name: "blue"}}
	of := func(node string) []string {
		tenant, _, _ := strings.Cut(node, "-")
		return []string{tenant}
	}
	records := &slowStore{Store: memstore.New(memstore.Options{})}
	alloc, err := allocator.New(allocator.Options{
		Store: records, Log: log, Tenants: tenants, TenantsOf: of,
		Providers: map[string]provider.Provider{"fake": fake.New(fake.Options{NICsPerInstance: 1000})},
		Networks:  []nic.Network{{Name: "lan", Provider: "fake", Addressing: nic.AddrDHCP, Space: "default", Tenants: []string{"red", "blue"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := alloc.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r := &fairRig{t: t, stop: func() { cancel(); wg.Wait(); records.Close() }}
	r.handler = server.New(server.Options{
		Backend: alloc, Log: log, Tenants: tenants, TenantsOf: of,
		Kinds: []server.Kind{{Err: allocator.ErrNotFound, Code: api.CodeNotFound}},
	})
	for i := range redNodes {
		r.call(fmt.Sprintf("red-%d", i), http.MethodPut, fmt.Sprintf("/v1/nodes/red-%d/hello", i), nic.Inventory{Boot: "b"})
	}
	r.call("blue-0", http.MethodPut, "/v1/nodes/blue-0/hello", nic.Inventory{Boot: "b"})
	return r
}

// call sends one request as the node and returns the status, and what the answer
// asks to wait.
func (r *fairRig) call(node, method, path string, body any) (status int, again time.Duration) {
	data, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(string(data)))
	req.Header.Set("Content-Type", "application/json")
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: node}, NotAfter: time.Now().Add(24 * time.Hour)}
	req.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	seconds, _ := strconv.Atoi(w.Header().Get("Retry-After"))
	return w.Code, time.Duration(seconds) * time.Second
}

func (r *fairRig) acquire(node string, n int) (status int, again time.Duration) {
	owner := nic.Owner{Node: node, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", n), Interface: "eth0"}
	return r.call(node, http.MethodPost, "/v1/claims", api.AcquireRequest{
		Owner: owner, Container: fmt.Sprintf("c%d", n), Request: nic.Request{Interface: "eth0", Network: "lan", DefaultRoute: true},
	})
}

// blue measures how long each of n of blue's requests takes. They come at their
// times, whether the ones before have been answered or not.
func (r *fairRig) blue(n int) []time.Duration {
	took := make([]time.Duration, n)
	var wg sync.WaitGroup
	for i := range took {
		r.n++
		name := r.n
		wg.Go(func() {
			begin := time.Now()
			if status, _ := r.acquire("blue-0", name); status != http.StatusOK {
				r.t.Errorf("blue's request: %d", status)
			}
			took[i] = time.Since(begin)
		})
		time.Sleep(1300 * time.Microsecond)
	}
	wg.Wait()
	return took
}

// flood sends n of red's requests at once; each that is told to come again does
// so, three times at most, as an agent does.
func (r *fairRig) flood(n int, done func(status int)) *sync.WaitGroup {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			status := 0
			for range 4 {
				var again time.Duration
				if status, again = r.acquire(fmt.Sprintf("red-%d", i%redNodes), 1<<20+i); status != http.StatusTooManyRequests {
					break
				}
				if again < time.Second {
					r.t.Errorf("429 without Retry-After")
				}
				time.Sleep(again)
			}
			done(status)
		})
	}
	return &wg
}

// S13: while one tenant floods the controller with 10,000 requests, another's
// wait at most twice as long as on an idle one, and all of the flood is answered.
func TestS13_AFloodDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const floods, each = 2, 10_000 / 2
		r := newFairRig(t)
		var idle, flooded []time.Duration
		var mu sync.Mutex
		answers := map[int]int{}
		for range floods {
			idle = append(idle, r.blue(200)...)
			wg := r.flood(each, func(status int) {
				mu.Lock()
				defer mu.Unlock()
				answers[status]++
			})
			flooded = append(flooded, r.blue(200)...)
			wg.Wait()
		}
		was, is := p99(idle), p99(flooded)
		t.Logf("blue's p99: %s idle, %s under red's flood, of which the answers are %v", was, is, answers)
		if is > 2*was {
			t.Errorf("%s under the flood, more than twice the %s of an idle controller", is, was)
		}
		if answers[http.StatusOK] < 1000 || answers[http.StatusTooManyRequests] < 1000 || answers[http.StatusOK]+answers[http.StatusTooManyRequests] != floods*each {
			t.Errorf("the flood was answered with %v", answers)
		}
		r.stop()
	})
}

func p99(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)*99/100]
}
