//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// allowedPaths are all that the agent asks Docker for, as in
// docs/docker-socket-proxy.md.
var allowedPaths = regexp.MustCompile(`^(/v1\.[0-9]+)?/(_ping|version|info|events|containers/json|containers/[0-9a-f]{1,64}/json|images/sha256:[0-9a-f]{64}/json)$`)

// A dockerProxy stands between agent and engine and lets questions through,
// and nothing else.
type dockerProxy struct {
	socket string
	close  func(*testing.T)

	mu      sync.Mutex
	asked   map[string]bool // kinds of question let through
	refused []string
	forgets bool // it tells of no containers, as an engine over an empty data root
}

// newDockerProxy listens on a socket beside the engine's, which it hides.
func newDockerProxy(t *testing.T, dir, engine string) *dockerProxy {
	t.Helper()
	p := &dockerProxy{socket: filepath.Join(dir, "proxy.sock"), asked: map[string]bool{}}
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", engine)
	}}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	forward.Transport, forward.FlushInterval = transport, -1 // events come one by one
	forward.ErrorLog = log.New(io.Discard, "", 0)            // clients go away
	forward.ModifyResponse = p.forget
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.admit(r) {
			http.Error(w, `{"message":"refused by the socket proxy"}`, http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	p.close = func(t *testing.T) {
		if err := errors.Join(server.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("proxy: %v", err)
		}
		transport.CloseIdleConnections()
	}
	return p
}

func (p *dockerProxy) admit(r *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := allowedPaths.FindStringSubmatch(r.URL.Path)
	if m == nil || r.Method != http.MethodGet && !(r.Method == http.MethodHead && m[2] == "_ping") || r.ContentLength > 0 || r.Header.Get("Upgrade") != "" {
		p.refused = append(p.refused, r.Method+" "+r.URL.Path)
		return false
	}
	kind := m[2]
	if rest, ok := strings.CutPrefix(kind, "containers/"); ok && rest != "json" {
		kind = "containers/ID/json"
	}
	if strings.HasPrefix(kind, "images/") {
		kind = "images/ID/json"
	}
	p.asked[kind] = true
	return true
}

// forget makes the engine one without containers, if told to.
func (p *dockerProxy) forget(resp *http.Response) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := resp.Request.URL.Path
	if !p.forgets || !strings.Contains(path, "/containers/") {
		return nil
	}
	body, status := any(map[string]string{"message": "No such container"}), http.StatusNotFound
	if strings.HasSuffix(path, "/containers/json") {
		body, status = []string{}, http.StatusOK
	}
	text, err := json.Marshal(body)
	resp.Body.Close()
	resp.StatusCode, resp.Body = status, io.NopCloser(strings.NewReader(string(text)))
	resp.ContentLength = int64(len(text))
	resp.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return err
}

func (p *dockerProxy) setForgets(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgets = yes
}

// S5: a proxy that lets only questions through is enough for the agent. What
// would give somebody who has taken over the agent the whole machine, to start
// a container or a program in one, is refused.
func TestS5_QuestionsAreEnough(t *testing.T) {
	t.Parallel()
	r := newServiceRig(t)
	r.startController(t)
	r.startAgent(t, r.agent(t))
	r.do(t, "run", r.runContainer, "web", "nicferry.network=lab")
	r.bound(t, "web")
	r.do(t, "restart", r.docker, "restart", "-t", "0", "web")
	r.bound(t, "web")

	cli := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		_, err := r.node.Run(ctx, "docker", append([]string{"--config", filepath.Join(r.node.Dir(), "cli"), "--host", "unix://" + r.proxy.socket}, args...)...)
		if err == nil {
			t.Errorf("docker %q went through the proxy", args)
			return ""
		}
		return err.Error()
	}
	r.proxy.mu.Lock()
	refused := r.proxy.refused
	r.proxy.mu.Unlock()
	if len(refused) > 0 {
		t.Errorf("the agent asked for %q, which a proxy refuses", refused)
	}
	for _, args := range [][]string{
		{"run", "--privileged", "nicferry-lab/busybox", "true"},
		{"exec", "web", "true"},
		{"rm", "-f", "web"},
		{"kill", "web"},
		{"cp", "web:/etc/passwd", "-"},
		{"logs", "web"},
		{"export", "web"},
	} {
		if got := cli(args...); !strings.Contains(got, "refused by the socket proxy") {
			t.Errorf("docker %q: %s, want the proxy's refusal", args, got)
		}
	}
	r.proxy.mu.Lock()
	defer r.proxy.mu.Unlock()
	for _, kind := range []string{"_ping", "version", "info", "events", "containers/json", "containers/ID/json", "images/ID/json"} {
		if !r.proxy.asked[kind] {
			t.Errorf("%s was never asked for: is it still needed?", kind)
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "docs", "docker-socket-proxy.md"))
	if err != nil || !strings.Contains(string(text), allowedPaths.String()) {
		t.Errorf("docs/docker-socket-proxy.md does not give this test's pattern %s (%v)", allowedPaths, err)
	}
}
