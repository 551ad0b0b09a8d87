package server_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
)

// F54: all that the controller answers says what it understands: what works, what
// is refused, what there is no route for, and a stream before its first event.
func TestF54_EachAnswerSaysTheLevel(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	for _, path := range []string{"/v1/nodes", "/v1/nodes/none", "/v1/nothing", "/openapi.json", "/v1/nodes/n1/watch"} {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, c.address+path, nil))
		resp, err := c.callers["itself"].RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Header.Get("Content-Type") != "text/event-stream" {
			_, _ = io.Copy(io.Discard, resp.Body)
		}
		resp.Body.Close()
		if got := resp.Header.Get(api.LevelHeader); got != strconv.Itoa(api.Level) {
			t.Errorf("GET %s: %s, level %q, want %d", path, resp.Status, got, api.Level)
		}
	}
}
