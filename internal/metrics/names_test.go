package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/metrics"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write docs/metrics.md")

const (
	claimID = nic.ClaimID("clm-0123456789abcdef")
	nicID   = nic.ID("nic-0123456789abcdef")
)

// full are both daemons with every metric in use.
func full() (*metrics.Controller, *metrics.Agent) {
	until := time.Unix(1_900_000_000, 0)
	c := metrics.NewController(metrics.ControllerOptions{
		Build: metrics.Build{Version: "v1.2.3", Commit: "0123abc", Go: "go1.26"}, Networks: []string{"lab"}, Tenants: []string{"default"}, Providers: []string{"local"},
		Tally: func(t metrics.Tally) {
			t.Leading(true)
			t.Claims(nic.ClaimBound, "lab", "default", 1)
			t.NICs(nic.PhaseHeld, "lab", 1)
			t.Nodes(nic.NodeReady, 1)
			t.Pool("lab", 2)
		},
		Certificates: func(each func(string, time.Time)) { each("server", until) },
	})
	c.Stepped("placed", time.Millisecond)
	c.Called("local", "create", "ok", time.Millisecond)
	c.Throttled("local", "create")
	c.Waited("local", "create")
	c.Committed("ok", time.Millisecond)
	c.Refused(nic.ReasonExhausted)
	c.Found("stray")
	c.Mended("stray")
	c.Requested("acquire", 200, time.Millisecond, false)
	c.Moved("done")
	c.MoveStepped("stop", "ok", time.Second)
	c.MoveSilent(time.Second)
	c.MoveCopied("image", 1<<20)
	a := metrics.NewAgent(metrics.AgentOptions{
		Build: metrics.Build{Version: "v1.2.3", Commit: "0123abc", Go: "go1.26"},
		Tally: func(t metrics.AgentTally) {
			t.Connected(true)
			t.Workers(1, 2)
			t.Asks(3)
			t.NICs(nic.ObservedIn, "lab", 1)
			t.Leases("dhcpv4", 1, 1)
			t.Members("lab", 1, 1)
			t.Links("lab", 1, 1)
		},
		Traffic: func(_ context.Context, each func(nic.ID, nic.ClaimID, string, nic.Traffic)) {
			each(nicID, claimID, "lab", nic.Traffic{RxBytes: 1, TxBytes: 2})
		},
		Certificates: func(each func(string, time.Time)) { each("agent", until) },
	})
	a.Ferried("enter", time.Millisecond, nil)
	a.Ferried("enter", time.Millisecond, errors.New("no"))
	a.Resynced()
	a.AskFailed("hello")
	a.Leased("dhcpv4", "renewed")
	a.SetByHand("VLAN")
	a.MemberFailed("lab", 1)
	a.LinkFailed("lab")
	return c, a
}

// page fetches a path of a daemon's pages.
func page(t testing.TB, o metrics.Options, path string) (int, string) {
	t.Helper()
	if o.Health == nil {
		o.Health = func(context.Context) error { return nil }
	}
	if o.Ready == nil {
		o.Ready = o.Health
	}
	o.Log = slog.New(slog.DiscardHandler)
	w := httptest.NewRecorder()
	metrics.Handler(o).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

// Every name that is served is in docs/metrics.md with its type, labels and help,
// and no other is; and Prometheus' own linter finds nothing.
func TestNames(t *testing.T) {
	t.Parallel()
	c, a := full()
	doc := &bytes.Buffer{}
	fmt.Fprint(doc, head)
	for _, d := range []struct {
		title   string
		source  metrics.Source
		metrics []metrics.Metric
	}{
		{"Controller, 127.0.0.1:7461", c, c.Metrics()},
		{"Agent, 127.0.0.1:7462", a, a.Metrics()},
	} {
		_, text := page(t, metrics.Options{Source: d.source}, "/metrics")
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, "nicferry_") {
				t.Errorf("%s: %s", p.Metric, p.Text)
			}
		}
		if err != nil {
			t.Errorf("lint: %v", err)
		}
		served := map[string]bool{}
		for line := range strings.Lines(text) {
			if name, kind, ok := strings.Cut(strings.TrimPrefix(line, "# TYPE "), " "); ok && strings.HasPrefix(line, "# TYPE nicferry_") {
				served[name+" "+strings.TrimSpace(kind)] = true
			}
		}
		fmt.Fprintf(doc, "\n## %s\n\n| name | type | labels | meaning |\n|---|---|---|---|\n", d.title)
		for _, m := range d.metrics {
			if !served[m.Name+" "+m.Kind] {
				t.Errorf("%s is not served as a %s", m.Name, m.Kind)
			}
			delete(served, m.Name+" "+m.Kind)
			fmt.Fprintf(doc, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
		}
		for name := range served {
			t.Errorf("%s is served and has no row", name)
		}
	}
	const path = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(path, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if is, err := os.ReadFile(path); err != nil || string(is) != doc.String() {
		t.Errorf("%s is not what is served (%v); write it anew with: go test ./internal/metrics -run TestNames -update", path, err)
	}
}

const head = `# Metrics and health

<!-- Written by: go test ./internal/metrics -run TestNames -update -->

Both daemons serve ` + "`/metrics`, `/healthz` and `/readyz`" + ` on the ` + "`metrics.address`" + ` of their
config; ` + "`\"\"`" + ` switches it off. **There is no authentication**: the default is the machine
itself alone, and whoever may reach another address may read all of it. It has no
addresses, no names of containers and no secrets; the agent's counters of NICs carry the
ids of claims and NICs.

- ` + "`/healthz`" + ` is 200 while the daemon is alive, and 503 with the reason when it is stuck and
  has to be started anew.
- ` + "`/readyz`" + ` is 200 while it serves: the controller has its store and its records, the agent
  a Docker daemon and a controller. Else it is 503 with the reason. Containers keep their
  NICs whatever it says.

A controller whose port is taken does not start; an agent, which may take over from
another, says so in its log and tries again. Beside what follows both serve Prometheus'
own ` + "`go_*` and `process_*`" + `. A network, tenant or provider that is not in the config is
` + "`other`" + `, so that nobody can make series without end.
`

// Whatever people call things, the page stays whole, and the number of series
// does not grow with what they ask for.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	hostile := []string{
		"", "lab\n# TYPE x counter\nx 1", `a"b\c`, "\xff\xfe", strings.Repeat("é", 5000), "lab\x00", "<script>", "other", "lab ", "ＬＡＢ",
	}
	c := metrics.NewController(metrics.ControllerOptions{
		Networks: append(hostile[:len(hostile):len(hostile)], "lab"), Tenants: []string{"default"}, Providers: []string{"local"},
		Build: metrics.Build{Version: hostile[3], Commit: hostile[4]},
		Tally: func(to metrics.Tally) {
			to.Leading(true)
			for i, name := range hostile {
				to.Claims(nic.ClaimRefused, name, name, 1)
				to.NICs(nic.Phase(name), name, i)
				to.Nodes(nic.NodePhase(name), 1)
				to.Pool(name, 1)
			}
			for i := range 10_000 {
				to.Claims(nic.ClaimRefused, fmt.Sprint("made-up-", i), fmt.Sprint("t", i), 1)
			}
		},
	})
	a := metrics.NewAgent(metrics.AgentOptions{
		Tally: func(to metrics.AgentTally) {
			for _, name := range hostile {
				to.NICs(nic.ObservedState(name), name, 1)
				to.Leases(name, 1, 1)
				to.Members(name, 1, 1)
				to.Links(name, 1, 1)
			}
		},
		Traffic: func(_ context.Context, each func(nic.ID, nic.ClaimID, string, nic.Traffic)) {
			for _, name := range hostile {
				each(nic.ID(name), nic.ClaimID(name), name, nic.Traffic{})
				each(nic.ID(name), nic.ClaimID(name), name, nic.Traffic{})
			}
		},
	})
	for _, name := range hostile {
		c.Called(name, name, name, 1)
		c.Refused(nic.Reason(name))
		c.Requested(name, -1, -1, false)
		a.Ferried(name, -1, nil)
		a.Leased(name, name)
		a.SetByHand(name)
		a.MemberFailed(name, 1)
		a.LinkFailed(name)
	}
	for name, source := range map[string]metrics.Source{"controller": c, "agent": a} {
		code, text := page(t, metrics.Options{Source: source}, "/metrics")
		if code != http.StatusOK || !strings.Contains(text, "nicferry_build_info") {
			t.Errorf("%s: %d, %.300s", name, code, text)
		}
		if n := strings.Count(text, "\n"); n > 1000 {
			t.Errorf("%s: %d lines", name, n)
		}
		if strings.Contains(text, "\nx 1") || strings.Contains(text, "made-up") {
			t.Errorf("%s: a name has become a line or a series of its own", name)
		}
		if _, err := promlint.New(strings.NewReader(text)).Lint(); err != nil {
			t.Errorf("%s: the page cannot be read: %v", name, err)
		}
	}
}
