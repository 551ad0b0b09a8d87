package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// F65: what comes with a session that is not the node's newest is a conflict,
// without one it is as it was, and with nonsense it is nobody's.
func TestF65_TheSessionIsInAHeader(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.call("get-claim", "GET", "/v1/claims/{id}", "itself") // makes the claim
	c.backend.PutNode(nic.Node{Name: "n1", Session: 5})
	for _, call := range []struct{ operation, method, path, body string }{
		{"acquire", "POST", "/v1/claims", c.body("acquire", "n1")},
		{"report", "POST", "/v1/nodes/n1/report", `{"session":5,"nics":[]}`},
		{"wanted", "GET", "/v1/nodes/n1/wanted", ""},
		{"watch", "GET", "/v1/nodes/n1/watch", ""},
		{"release", "POST", "/v1/claims/" + string(c.claim.ID) + "/release", `{"epoch":1}`},
	} {
		for _, tc := range []struct {
			session string
			want    int
		}{{"4", 409}, {"x", 422}, {"0", 422}, {"-1", 422}, {strings.Repeat("9", 40), 422}, {"5", 200}, {"", 200}} {
			req := must(http.NewRequestWithContext(t.Context(), call.method, c.address+call.path, strings.NewReader(call.body)))
			if tc.session != "" {
				req.Header.Set(api.SessionHeader, tc.session)
			}
			resp, err := c.callers["itself"].RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			var answer []byte
			if resp.Header.Get("Content-Type") != "text/event-stream" || tc.want == 409 {
				answer, _ = io.ReadAll(resp.Body)
			}
			resp.Body.Close()
			// A watch says so in its stream.
			conflict := resp.StatusCode == 409 || call.operation == "watch" && strings.Contains(string(answer), `"code":"conflict"`)
			switch {
			case tc.want == 409 && !conflict:
				t.Errorf("%s in session 4 of 5: %d %s", call.operation, resp.StatusCode, answer)
			case tc.want == 422 && resp.StatusCode != 422, tc.want == 200 && resp.StatusCode/100 != 2:
				t.Errorf("%s in session %.20q: %d %s", call.operation, tc.session, resp.StatusCode, answer)
			}
		}
	}
}
