package server_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/server"
)

// Each request is told by its operation and status: refused, unknown and
// malformed ones too.
func TestRequestsAreTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	handler := server.New(server.Options{
		Backend: apitest.New(), Log: slog.New(slog.DiscardHandler),
		Requested: func(operation string, code int, _ time.Duration, stays bool) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(operation, " ", code, " ", stays))
		},
	})
	srv := httptest.NewServer(handler) // nobody's calls: neither the socket nor a certificate
	defer srv.Close()
	for _, path := range []string{"/v1/version", "/v1/claims", "/v1/nothing", "/openapi.json"} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(told)
	if want := []string{" 403 false", " 404 false", "list-claims 403 false", "version 403 false"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
