package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/nicferry/nicferry/internal/api/server"
)

// Over anything but TLS and the socket, should somebody ever wire it so, nobody
// is anybody.
func TestWithoutTLSNobodyIsAnAdmin(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	srv := httptest.NewServer(server.New(ctl.opts))
	defer srv.Close()
	for path, want := range map[string]int{"/v1/claims": 403, "/v1/nodes/n1/wanted": 403, "/v1/version": 403} {
		resp, err := srv.Client().Do(must(http.NewRequestWithContext(t.Context(), "GET", srv.URL+path, nil)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
