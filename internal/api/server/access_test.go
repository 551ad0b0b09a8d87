package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// TestWhoMayCallWhat calls every route of the API's own document as everybody
// who can have a certificate. A route that nobody has thought of here must be
// an admin's.
func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	ctl.backend.PutNode(nic.Node{Name: "n1"})
	ctl.backend.PutNode(nic.Node{Name: "n2"})
	var doc openAPI
	if err := json.NewDecoder(ctl.send("GET", "/openapi.json", "").Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	callers := map[string]*http.Transport{}
	for name, leaf := range map[string]certs.Leaf{
		"itself":       {CommonName: "n1"},
		"by DNS name":  {CommonName: "vm 1", Names: []string{"n1", "n1.lab"}},
		"another node": {CommonName: "n2", Names: []string{"n1.lab", "*"}},
		"nobody":       {},
		"of another O": {CommonName: "n2", Organisation: "nicferry-admins"},
		"an admin":     {CommonName: "n2", Organisation: mtls.AdminOrganisation},
	} {
		leaf.File = strings.ReplaceAll(name, " ", "-")
		callers[name] = transport(t, issue(t, ctl.ca, leaf))
	}
	routes := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			routes++
			for name, tr := range callers {
				checkAccess(t, ctl, op.OperationID, strings.ToUpper(method), path, name, tr)
			}
		}
	}
	if routes < 15 {
		t.Errorf("the document has only %d routes", routes)
	}
}

func checkAccess(t *testing.T, ctl *tlsController, operation, method, path, name string, tr *http.Transport) {
	t.Helper()
	claim, err := ctl.backend.Acquire(t.Context(), owner, "web", nic.Request{Interface: "eth0", Network: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	path = strings.NewReplacer("{name}", "n1", "{id}", string(claim.ID)).Replace(path)
	body := ""
	switch operation {
	case "acquire":
		body = `{"owner":{"node":"n1","kind":"container","sandbox":"c0ffee","interface":"eth0"},"container":"web","request":{"interface":"eth0","network":"lab"}}`
	case "release":
		body = `{"epoch":1}`
	case "hello":
		body = `{"boot":"b","kernel":"k","docker":"d","agentVersion":"v"}`
	case "report":
		body = `{"session":1,"nics":[]}`
	case "audit":
		body = `{}`
	case "forget-node":
		ctl.backend.PutNode(nic.Node{Name: "n1", Phase: nic.NodeSilent})
		body = `{"dryRun":true}`
	}
	allowed := name == "an admin" || operation == "version" && name != "nobody"
	switch operation {
	case "acquire", "release", "hello", "report", "wanted", "watch":
		allowed = allowed || name == "itself" || name == "by DNS name"
	case "renew":
		allowed = name == "itself" || name == "by DNS name"
	case "join":
		allowed = true
	}
	status, text, err := ctl.ask(tr, method, path, body)
	if err != nil || (status != http.StatusForbidden) != allowed {
		t.Errorf("%s as %s: %d %.200s, %v; allowed: %t", operation, name, status, text, err, allowed)
	}
	if status == http.StatusForbidden && !strings.Contains(text, `"code":"refused"`) {
		t.Errorf("%s as %s: refused with %s", operation, name, text)
	}
	if _, err := ctl.backend.Claim(t.Context(), claim.ID); err != nil && !allowed {
		t.Errorf("%s as %s: the claim is gone", operation, name)
	}
}

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
