package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

var errStale = errors.New("stale")

func TestErrorsOfTheBackend(t *testing.T) {
	t.Parallel()
	ctl := start(t, func(o *server.Options) { o.Kinds = []server.Kind{{Err: errStale, Code: api.CodeConflict}} })
	const path = "/v1/nodes/n1"
	for name, tc := range map[string]struct {
		err    error
		status int
		want   api.Error
	}{
		"not found": {
			fmt.Errorf("node n1: %w", store.ErrNotFound), 404,
			api.Error{Code: api.CodeNotFound, Message: "node n1: no such record"},
		},
		"the backend's own kind": {
			fmt.Errorf("session 3: %w", errStale), 409,
			api.Error{Code: api.CodeConflict, Message: "session 3: stale"},
		},
		"already in our shape": {
			&api.Error{Code: api.CodeRefused, Message: "not for you"}, 403,
			api.Error{Code: api.CodeRefused, Message: "not for you"},
		},
		"a provider's": {
			&provider.Error{Kind: provider.ErrThrottled, Provider: "aws", Op: "attach", RequestID: "r-1"}, 503,
			api.Error{Code: api.CodeUnavailable, Message: "aws: attach: throttled (request r-1)", ProviderRequestID: "r-1"},
		},
		"faults, all at once": {
			nic.Faults{{Field: "a", Problem: "is odd"}, {Field: "b", Problem: "too"}},
			422,
			api.Error{
				Code: api.CodeInvalid, Message: "a: is odd; b: too", Field: "a",
				Faults: nic.Faults{{Field: "a", Problem: "is odd"}, {Field: "b", Problem: "too"}},
			},
		},
		"unknown, with a secret in it": {
			errors.New("https://x/?Signature=s3cr3t"), 500,
			api.Error{Code: api.CodeInternal, Message: "the controller failed at get-node; its log has the cause"},
		},
		"a panic": {
			apitest.Panic("index out of range"), 500,
			api.Error{Code: api.CodeInternal, Message: "the controller has a fault; its log has the cause"},
		},
	} {
		ctl.backend.Fail("Node", tc.err)
		resp := ctl.send("GET", path, "")
		checkError(t, name, resp, tc.status, tc.want)
		if got := resp.Header.Get("Retry-After"); (got != "") != (tc.status == 503) {
			t.Errorf("%s: Retry-After %q with status %d", name, got, tc.status)
		}
	}
	for _, want := range []string{"s3cr3t", "index out of range", "stack="} {
		if !strings.Contains(ctl.log.String(), want) {
			t.Errorf("the log does not have %q", want)
		}
	}
}

func TestErrorsOfTheRequest(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	claim := string(nic.NewClaimID())
	ownerJSON := `{"node":"n1","kind":"container","sandbox":"c0","interface":"eth0"}`
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               api.Code
		field              string
		faults             int
	}{
		{"POST", "/v1/claims", `{`, 400, api.CodeInvalid, "body", 1},
		{"POST", "/v1/claims", ``, 400, api.CodeInvalid, "", 0},
		{"POST", "/v1/claims", `{"owner":{"node":"n1"},"container":7,"reqest":{}}`, 422, api.CodeInvalid, "body", 6},
		{"POST", "/v1/claims", `{"owner":` + ownerJSON + `,"container":"c","request":{"interface":"eth0","network":"lab","addrs":["x"]}}`, 422, api.CodeInvalid, "body.request.addrs[0]", 1},
		{"POST", "/v1/claims", `{"owner":` + ownerJSON + `,"container":"c","request":{"interface":"eth0","network":"lab","mac":"ff:ff"}}`, 422, api.CodeInvalid, "body", 1},
		{"POST", "/v1/claims", `{"owner":{"node":"../x","kind":"container","sandbox":"c0","interface":"eth0"},"container":"c","request":{"interface":"eth0","network":"lab"}}`, 422, api.CodeInvalid, "body.owner", 1},
		{"POST", "/v1/claims", strings.Repeat("x", 1<<20+1000), 413, api.CodeInvalid, "", 0},
		{"POST", "/v1/claims", `{"owner":` + ownerJSON + `,"container":"c","request":{"interface":"eth0/x","network":"lab","addrs":["127.0.0.1"]}}`, 422, api.CodeInvalid, "body.request.interface", 2},
		{"POST", "/v1/claims", `{"owner":` + ownerJSON + `,"container":"c","request":{"interface":"eth0","network":"lab","addrs":["10.0.0.1"` + strings.Repeat(`,"10.0.0.1"`, 32) + `]}}`, 422, api.CodeInvalid, "body.request.addrs", 1},
		{"POST", "/v1/claims", `{"owner":` + ownerJSON + `,"container":"c","request":{"interface":"eth0","network":"lab","faults":[{"field":"","problem":"` + strings.Repeat("x", 9999) + `"}]}}`, 422, api.CodeInvalid, "body.request.faults[0]", 1},
		{"PUT", "/v1/nodes/n1/hello", `{"boot":"b","kernel":"` + strings.Repeat("k", 257) + `","docker":"d","agentVersion":"v"}`, 422, api.CodeInvalid, "body.kernel", 1},
		{"PUT", "/v1/nodes/n1/hello", `{"boot":"b","kernel":"k","docker":"d","agentVersion":"v","cards":[{"pci":"../../etc","numa":0},{"pci":"0000:03:00.0","numa":0,"vfs":[{"pci":"0000:03:00.0","index":-1,"used":"free"}]}]}`, 422, api.CodeInvalid, "body.cards[0].pci", 3},
		{"POST", "/v1/nodes/n1/report", `{"session":1,"nics":[],"cards":[{"pci":"x","numa":0}]}`, 422, api.CodeInvalid, "body.cards[0].pci", 1},
		{"POST", "/v1/claims/" + claim + "/release", `{"epoch":-1}`, 422, api.CodeInvalid, "body.epoch", 1},
		{"POST", "/v1/claims/clm-x/release", `{"epoch":1}`, 422, api.CodeInvalid, "path.id", 1},
		{"GET", "/v1/claims/clm-x", "", 404, api.CodeNotFound, "", 0},
		{"GET", "/v1/claims/" + claim, "", 404, api.CodeNotFound, "", 0},
		{"GET", "/v1/claims?limit=0", "", 422, api.CodeInvalid, "query.limit", 1},
		{"GET", "/v1/nics/..%2f..%2fetc", "", 404, api.CodeNotFound, "", 0},
		{"GET", "/v1/nodes/a%2fb/wanted", "", 404, api.CodeNotFound, "", 0},
		{"GET", "/v1/nodes/n9/watch", "", 404, api.CodeNotFound, "", 0},
		{"GET", "/v1/nodes/n9/watch?after=x", "", 422, api.CodeInvalid, "query.after", 1},
		{"GET", "/v1/networks/nope", "", 404, api.CodeNotFound, "", 0},
		{"PUT", "/v1/nodes/a%0ab/hello", `{"boot":"b","kernel":"k","docker":"d","agentVersion":"v"}`, 422, api.CodeInvalid, "path.name", 1},
		{"POST", "/v1/nodes/n9/report", `{"session":1,"nics":[]}`, 404, api.CodeNotFound, "", 0},
		{"GET", "/v2/claims", "", 404, api.CodeNotFound, "", 0},
		{"DELETE", "/v1/claims", "", 405, api.CodeInvalid, "", 0},
	} {
		name := tc.method + " " + tc.path
		resp := ctl.send(tc.method, tc.path, tc.body)
		got := readError(t, name, resp)
		if resp.StatusCode != tc.status || got.Code != tc.code || got.Field != tc.field || len(got.Faults) != tc.faults || got.Message == "" {
			t.Errorf("%s: got %d %+v; want %d %s, field %q, %d faults", name, resp.StatusCode, got, tc.status, tc.code, tc.field, tc.faults)
		}
	}
}

func TestErrorsReachTheCallerTyped(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	c, ctx := ctl.client(), t.Context()
	if _, err := c.Hello(ctx, "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	claim, err := c.Acquire(ctx, owner, "web", nic.Request{Interface: "eth0", Network: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Release(ctx, claim.ID, 0)
	if e, ok := errors.AsType[*api.Error](err); !ok || !api.IsConflict(err) || e.Claim != claim.ID {
		t.Errorf("release with an old epoch: %v (%+v), want a conflict that names the claim", err, e)
	}
	if _, err := c.Hello(ctx, "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Report(ctx, "n1", nic.NodeReport{Session: 1}); !api.IsConflict(err) {
		t.Errorf("report of an older session: %v, want a conflict", err)
	}
	if _, _, err := c.Wanted(ctx, "n2", 0); !api.IsNotFound(err) {
		t.Errorf("wanted of an unknown node: %v, want not found", err)
	}
	if _, err := c.Acquire(ctx, nic.Owner{}, "", nic.Request{}); !api.IsInvalid(err) {
		t.Errorf("acquire for nobody: %v, want invalid", err)
	}
	ctl.backend.Fail("NIC", fmt.Errorf("attach: %w", provider.ErrDenied))
	if _, err := c.NIC(ctx, nic.NewID()); !api.IsRefused(err) {
		t.Errorf("a denial: %v, want refused", err)
	}
	ctl.backend.Fail("NICs", store.ErrClosed) // one "later", which the client sits out
	if _, err := c.NICs(ctx); err != nil {
		t.Errorf("after one 503: %v, want success", err)
	}
}

func checkError(t *testing.T, name string, resp *http.Response, status int, want api.Error) {
	t.Helper()
	got := readError(t, name, resp)
	if diff := cmp.Diff(want, got); diff != "" || resp.StatusCode != status {
		t.Errorf("%s: status %d, want %d (-want +got):\n%s", name, resp.StatusCode, status, diff)
	}
}

// readError demands our shape: no field that we do not know.
func readError(t *testing.T, name string, resp *http.Response) api.Error {
	t.Helper()
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s: content type %q", name, ct)
	}
	var e api.Error
	decoder := json.NewDecoder(resp.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return e
}
