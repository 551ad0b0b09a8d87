package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/events"
)

// as is a request with the certificate of a node; nobody's without a name.
func as(node, method, path string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, path, body)
	r.Header.Set("Content-Type", "application/json")
	r.TLS = &tls.ConnectionState{}
	if node != "" {
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: node}, NotAfter: time.Now().Add(24 * time.Hour)}
		r.TLS.VerifiedChains = [][]*x509.Certificate{{cert}}
	}
	return r
}

// answer is the status of the answer to a request.
func answer(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// What a node has under way is bounded in number and in size, before it is read;
// another node's is not the less for it.
func TestWhatIsUnderWayIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		calls int
		call  func(body io.Reader) *http.Request
	}{
		"large bodies": {1, func(body io.Reader) *http.Request {
			r := as("n1", http.MethodPost, "/v1/nodes/n1/report", body)
			r.ContentLength = maxReport
			return r
		}},
		"bodies of unknown length": {5, func(body io.Reader) *http.Request { return as("n1", http.MethodPost, "/v1/claims", body) }},
		"many": {maxUnderWay, func(body io.Reader) *http.Request {
			r := as("n1", http.MethodPost, "/v1/claims", body)
			r.ContentLength = 100
			return r
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := New(Options{Log: slog.New(slog.DiscardHandler)})
				body, end := io.Pipe()
				for range c.calls {
					go answer(h, c.call(body))
				}
				synctest.Wait()
				report := func(node string) int {
					r := as(node, http.MethodPost, "/v1/nodes/"+node+"/report", strings.NewReader("no JSON"))
					r.ContentLength = maxReport
					return answer(h, r)
				}
				if got := report("n1"); got != http.StatusTooManyRequests {
					t.Errorf("one more is answered with %d", got)
				}
				if got := report("n2"); got != http.StatusBadRequest {
					t.Errorf("another node is answered with %d", got)
				}
				end.Close()
				synctest.Wait()
				if got := report("n1"); got != http.StatusBadRequest {
					t.Errorf("after they have ended one is answered with %d", got)
				}
			})
		})
	}
}

// refusing is a Trust that takes no token.
type refusing struct{ noTrust }

func (refusing) Join(_ context.Context, req api.JoinRequest) (api.Issued, error) {
	return api.Issued{}, &api.Error{Code: api.CodeRefused, Message: "not with " + req.CSR}
}

// Whoever is refused again and again, each time with other words, does not drive
// out what has happened to others.
func TestRefusalsLeaveOthersEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		happened := events.New(events.Options{Kept: 500})
		happened.Add(api.Event{Node: "n9", Message: "this"})
		h := New(Options{Log: slog.New(slog.DiscardHandler), Events: happened, Trust: refusing{}})
		for i := range 1000 {
			if got := answer(h, as("n1", http.MethodPut, fmt.Sprintf("/v1/nodes/x%d/hello", i), nil)); got != http.StatusForbidden {
				t.Fatalf("n1 is answered with %d", got)
			}
			join := as("", http.MethodPost, "/v1/join", strings.NewReader(fmt.Sprintf(`{"token": "t", "csr": "%d"}`, i)))
			join.RemoteAddr = fmt.Sprintf("10.0.%d.%d:1000", i>>8, i&0xff)
			if got := answer(h, join); got != http.StatusForbidden && got != http.StatusTooManyRequests {
				t.Fatalf("a join is answered with %d", got)
			}
		}
		all, kept := happened.After("", 0, 0).Items, map[string]int{}
		for _, e := range all {
			kept[string(e.Reason)]++
		}
		if all[0].Message != "this" || kept["CallRefused"] != tellBurst || kept["TokenRefused"] != tellBurst {
			t.Errorf("kept are %v, the first of them %+v", kept, all[0])
		}
	})
}

// Nobody fills the log, by calls or by connections; what a node is refused is in
// it all the same.
func TestNobodyFillsTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		h, failed := New(Options{Log: log}), &turnedAway{log: log, level: slog.LevelInfo, noise: newNoise()}
		for i := range 1000 {
			if got := answer(h, as("", http.MethodGet, fmt.Sprintf("/v1/nodes/n%d", i), nil)); got != http.StatusForbidden {
				t.Fatalf("nobody is answered with %d", got)
			}
			fmt.Fprintf(failed, "http: TLS handshake error from 10.0.0.1:%d: EOF\n", i)
		}
		answer(h, as("n1", http.MethodGet, "/v1/nodes/n2", nil))
		calls, conns := strings.Count(text.String(), "call refused"), strings.Count(text.String(), "connection failed")
		if calls != noiseBurst+1 || conns != noiseBurst || !strings.Contains(text.String(), `peer="node n1"`) {
			t.Errorf("%d lines of calls and %d of connections", calls, conns)
		}
	})
}
