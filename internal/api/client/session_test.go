package client_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// From its hello on an agent's calls all carry its session, the watch too, and a
// person's never do.
func TestF65_EveryCallCarriesTheSession(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var said []string
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		said = append(said, r.Method+" "+r.URL.Path+" "+r.Header.Get(api.SessionHeader))
		mu.Unlock()
		if r.Method == http.MethodPut {
			w.Write([]byte(`{"session":7}`))
			return
		}
		w.WriteHeader(http.StatusConflict)
		w.Write([]byte(`{"code":"conflict","message":"stale"}`))
	})}
	go srv.Serve(ln)
	defer srv.Close()
	c, err := client.Open(client.Options{Addresses: []string{"unix://" + socket}, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	owner := nic.Owner{Node: "n1", Kind: nic.OwnerContainer, Sandbox: "c0ffee", Interface: "eth0"}
	calls := []func(ctx context.Context) error{
		func(ctx context.Context) error { _, err := c.Acquire(ctx, owner, "web", nic.Request{}); return err },
		func(ctx context.Context) error { return c.Release(ctx, "clm-0123456789abcdef", 1) },
		func(ctx context.Context) error { return c.Report(ctx, "n1", nic.NodeReport{Session: 7}) },
		func(ctx context.Context) error { _, _, err := c.Wanted(ctx, "n1", 7); return err },
		func(ctx context.Context) error { return c.Watch(ctx, "n1", 1, func(uint64) {}) },
	}
	for range 2 {
		for _, call := range calls {
			if err := call(t.Context()); !api.IsConflict(err) {
				t.Errorf("a call that is refused ended with %v", err)
			}
		}
		if node, err := c.Hello(t.Context(), "n1", nic.Inventory{}); err != nil || node.Session != 7 {
			t.Fatalf("hello: %+v, %v", node, err)
		}
	}
	paths := []string{"POST /v1/claims ", "POST /v1/claims/clm-0123456789abcdef/release ", "POST /v1/nodes/n1/report ", "GET /v1/nodes/n1/wanted ", "GET /v1/nodes/n1/watch "}
	var want []string
	for _, session := range []string{"", "7"} {
		for _, path := range paths {
			want = append(want, path+session)
		}
		want = append(want, "PUT /v1/nodes/n1/hello "+session)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(said, want) {
		t.Errorf("said\n%q, want\n%q", said, want)
	}
}
