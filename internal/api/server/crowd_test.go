package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/mtls/mtlstest"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// A crowd is a controller with its own authority on loopback, and all who may call
// it.
type crowd struct {
	*ownController
	callers map[string]*http.Transport
	csr     string
	claim   nic.Claim
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	records := memstore.New(memstore.Options{})
	t.Cleanup(func() { records.Close() })
	key := mtlstest.Key(t)
	c := &crowd{callers: map[string]*http.Transport{}, csr: mtlstest.Request(t, key)}
	open := func(ago time.Duration) *authority.Authority {
		return newAuthority(t, slog.New(slog.DiscardHandler), func(o *authority.Options) {
			o.Store, o.Now = records, func() time.Time { return time.Now().Add(-ago) }
			o.Instances = func(string) (map[string]nic.InstanceID, bool) { return nil, true }
		})
	}
	past, now := open(48*time.Hour), open(0)
	expired, fresh := c.member(t, past, "n1"), api.Issued{}
	var err error
	if fresh, err = now.Renew(t.Context(), mtls.Peer{Role: mtls.Node, Names: []string{"n1"}, Join: 1}, c.csr); err != nil {
		t.Fatal(err)
	}
	revoked := c.member(t, now, "n3")
	if _, _, err := now.Revoke(t.Context(), "n3"); err != nil {
		t.Fatal(err)
	}
	c.ownController = &ownController{controller: start(t, func(o *server.Options) { o.Trust = now })}
	c.trust, c.address = now, c.serve(now)
	pair := func(issued api.Issued) certs.Pair { return certs.Pair(keep(t, issued, key)) }
	person := func(role string) certs.Pair {
		issued, err := now.IssueUser(t.Context(), api.CertificateRequest{Name: "p", Role: role, TTL: nic.Duration(time.Hour), CSR: c.csr})
		if err != nil {
			t.Fatal(err)
		}
		return pair(issued)
	}
	for name, p := range map[string]certs.Pair{
		"nobody": {}, "another": pair(c.member(t, now, "n2")), "revoked": pair(revoked), "expired": pair(expired), "itself": pair(fresh),
		"stranger": issue(t, newCA(t), certs.Leaf{File: "s", CommonName: "n1", Organisation: mtls.AdminOrganisation}),
		"viewer":   person("viewer"), "admin": person("admin"),
	} {
		c.callers[name] = transport(t, p)
	}
	return c
}

// member has a node join.
func (c *crowd) member(t *testing.T, a *authority.Authority, node string) api.Issued {
	t.Helper()
	token, err := a.CreateToken(t.Context(), api.TokenRequest{Node: node})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: c.csr})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// call makes one call as somebody, of something that is n1's.
func (c *crowd) call(operation, method, path, who string) (int, string) {
	c.t.Helper()
	c.backend.PutNode(nic.Node{Name: "n3", Session: 1})
	c.backend.PutNode(nic.Node{Name: "n1", Session: 1, Phase: nic.NodeSilent})
	var err error
	if c.claim, err = c.backend.Acquire(c.t.Context(), owner, "web", nic.Request{Interface: "eth0", Network: "lab"}); err != nil {
		c.t.Fatal(err)
	}
	node := "n1"
	if who == "revoked" {
		node = "n3"
	}
	id := string(c.claim.ID)
	switch operation {
	case "get-nic":
		id = string(c.claim.NIC)
	case "delete-token":
		token, err := c.trust.CreateToken(c.t.Context(), api.TokenRequest{Node: "n8"})
		if err != nil {
			c.t.Fatal(err)
		}
		id = token.ID
	case "get-move", "resume-move", "abort-move":
		id = string(c.aMove())
	case "undrain-node":
		c.mover.PutDrain(nic.Drain{Node: "n1"})
	case "begin-task", "progress-task", "finish-task":
		id = string(c.orders.begun(c.t, node))
	case "get-network", "plan-network":
		node = "lab"
	case "remove-node": // one without claims
		node = "n9"
		c.backend.PutNode(nic.Node{Name: node})
	}
	path = strings.NewReplacer("{name}", node, "{id}", id, "{stream}", "str-0").Replace(path)
	return c.send(c.callers[who], method, path, strings.NewReader(c.body(operation, node)))
}

// aMove is one that has just begun.
func (c *crowd) aMove() nic.MoveID {
	c.t.Helper()
	move, err := c.mover.Begin(c.t.Context(), nic.MoveRequest{Container: "web", To: "n2"})
	if err != nil {
		c.t.Fatal(err)
	}
	return move.ID
}

// body is what a good call of the operation has.
func (c *crowd) body(operation, node string) string {
	switch operation {
	case "acquire":
		return fmt.Sprintf(`{"owner":{"node":%q,"kind":"container","sandbox":"c0ffee","interface":"eth0"},"container":"web","request":{"interface":"eth0","network":"lab"}}`, node)
	case "release":
		return `{"epoch":1}`
	case "hello":
		return `{"boot":"b","kernel":"k","docker":"d","agentVersion":"v"}`
	case "report":
		return `{"session":1,"nics":[]}`
	case "progress-task":
		return `{"bytes":1,"total":2}`
	case "finish-task":
		return `{"error":"no room","result":{"again":true}}`
	case "plan-move", "begin-move":
		return `{"container":"web","to":"n2"}`
	case "audit", "drain-node":
		return `{}`
	case "audit to mend":
		return `{"fix":true}`
	case "forget-node", "revoke-node", "remove-node", "promote":
		return `{"dryRun":true}`
	case "create-token":
		return `{"node":"n7"}`
	case "create-certificate":
		return text(c.t, api.CertificateRequest{Name: "x", Role: "viewer", TTL: nic.Duration(time.Hour), CSR: c.csr})
	case "renew":
		return text(c.t, api.CSRRequest{CSR: c.csr})
	case "join":
		token, err := c.trust.CreateToken(c.t.Context(), api.TokenRequest{Node: "n6"})
		if err != nil {
			c.t.Fatal(err)
		}
		return text(c.t, api.JoinRequest{Token: token.Text, CSR: c.csr})
	}
	return ""
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// send sends one request, and returns the code and at most the first 64 KiB of
// the answer, or of a stream nothing.
func (c *crowd) send(tr *http.Transport, method, path string, body io.Reader) (int, string) {
	c.t.Helper()
	req := must(http.NewRequestWithContext(c.t.Context(), method, c.address+path, body))
	if strings.Contains(path, "/tasks") {
		req.Header.Set(api.SessionHeader, "1")
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		return resp.StatusCode, ""
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		c.t.Error(err)
	}
	return resp.StatusCode, string(answer)
}

// A route is one of the API's own document.
type route struct{ operation, method, path string }

func (c *crowd) routes() []route {
	c.t.Helper()
	var doc openAPI
	if err := json.NewDecoder(c.controller.send("GET", "/openapi.json", "").Body).Decode(&doc); err != nil {
		c.t.Fatal(err)
	}
	var all []route
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for method, op := range doc.Paths[path] {
			all = append(all, route{op.OperationID, strings.ToUpper(method), path})
		}
	}
	return all
}
