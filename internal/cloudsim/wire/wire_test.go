package wire

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

func TestSend(t *testing.T) {
	const body = `{"RequestId":"1"}`
	tests := []struct {
		wire   cloudsim.Wire
		status int // 0 is no answer at all
		starts string
		cut    bool
	}{
		{cloudsim.Wire{}, 200, body, false},
		{cloudsim.Wire{Verb: cloudsim.LoseReply}, 0, "", false},
		{cloudsim.Wire{Verb: cloudsim.Reset}, 0, "", false},
		{cloudsim.Wire{Verb: cloudsim.HTML}, 502, "<html>", false},
		{cloudsim.Wire{Verb: cloudsim.HTML, Status: 503}, 503, "<html>", false},
		{cloudsim.Wire{Verb: cloudsim.Empty}, 200, "", false},
		{cloudsim.Wire{Verb: cloudsim.Empty, Status: 500}, 500, "", false},
		{cloudsim.Wire{Verb: cloudsim.Half}, 200, body[:len(body)/2], true},
	}
	for _, tt := range tests {
		t.Run(cmp.Or(string(tt.wire.Verb), "well"), func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				Send(w, tt.wire, http.StatusOK, []byte(body))
			}))
			defer server.Close()
			answer, err := server.Client().Get(server.URL) //nolint:noctx // it ends with the test's server
			if (err != nil) != (tt.status == 0) {
				t.Fatalf("answered %v, %v", answer, err)
			}
			if err != nil {
				return
			}
			defer answer.Body.Close()
			got, err := io.ReadAll(answer.Body)
			if answer.StatusCode != tt.status || !strings.HasPrefix(string(got), tt.starts) || (err != nil) != tt.cut {
				t.Errorf("answered %d %q, %v", answer.StatusCode, got, err)
			}
		})
	}
}
