package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/nic"
)

// callers are all kinds of caller, in the order of the table's columns. What is
// asked for is n1's, but by the revoked node, which asks for its own.
var callers = []string{"nobody", "stranger", "another", "revoked", "expired", "itself", "viewer", "admin"}

// answers is the table of S15: what each operation says to each kind of caller. An
// operation that is not in it fails the test: whoever adds one decides here who
// may call it.
var answers = map[string][8]int{
	//                   nobody stranger another revoked expired itself viewer admin
	"acquire":            {403, 403, 403, 403, 403, 200, 403, 200},
	"release":            {403, 403, 403, 403, 403, 204, 403, 204},
	"get-claim":          {403, 403, 403, 403, 403, 200, 200, 200},
	"get-nic":            {403, 403, 403, 403, 403, 200, 200, 200},
	"get-node":           {403, 403, 403, 403, 403, 200, 200, 200},
	"hello":              {403, 403, 403, 403, 403, 200, 403, 200},
	"report":             {403, 403, 403, 403, 403, 204, 403, 204},
	"wanted":             {403, 403, 403, 403, 403, 200, 403, 200},
	"watch":              {403, 403, 403, 403, 403, 200, 403, 200},
	"list-tasks":         {403, 403, 403, 403, 403, 200, 403, 200},
	"begin-task":         {403, 403, 403, 403, 403, 200, 403, 200},
	"progress-task":      {403, 403, 403, 403, 403, 204, 403, 204},
	"finish-task":        {403, 403, 403, 403, 403, 204, 403, 204},
	"send-stream":        {403, 403, 403, 403, 403, 404, 403, 404}, // one that is not open
	"take-stream":        {403, 403, 403, 403, 403, 404, 403, 404},
	"renew":              {403, 403, 403, 403, 200, 200, 403, 403},
	"list-claims":        {403, 403, 403, 403, 403, 403, 200, 200},
	"list-nics":          {403, 403, 403, 403, 403, 403, 200, 200},
	"list-nodes":         {403, 403, 403, 403, 403, 403, 200, 200},
	"list-networks":      {403, 403, 403, 403, 403, 403, 200, 200},
	"get-network":        {403, 403, 403, 403, 403, 403, 200, 200},
	"node-room":          {403, 403, 403, 403, 403, 403, 200, 200},
	"plan-network":       {403, 403, 403, 403, 403, 403, 200, 200},
	"status":             {403, 403, 403, 403, 403, 403, 200, 200},
	"events":             {403, 403, 403, 403, 403, 403, 200, 200},
	"plan-move":          {403, 403, 403, 403, 403, 403, 200, 200},
	"list-moves":         {403, 403, 403, 403, 403, 403, 200, 200},
	"get-move":           {403, 403, 403, 403, 403, 403, 200, 200},
	"list-drains":        {403, 403, 403, 403, 403, 403, 200, 200},
	"begin-move":         {403, 403, 403, 403, 403, 403, 403, 200},
	"resume-move":        {403, 403, 403, 403, 403, 403, 403, 200},
	"abort-move":         {403, 403, 403, 403, 403, 403, 403, 200},
	"drain-node":         {403, 403, 403, 403, 403, 403, 403, 200},
	"undrain-node":       {403, 403, 403, 403, 403, 403, 403, 200},
	"audit":              {403, 403, 403, 403, 403, 403, 200, 200},
	"audit to mend":      {403, 403, 403, 403, 403, 403, 403, 200},
	"forget-node":        {403, 403, 403, 403, 403, 403, 403, 200},
	"revoke-node":        {403, 403, 403, 403, 403, 403, 403, 200},
	"remove-node":        {403, 403, 403, 403, 403, 403, 403, 200},
	"promote":            {403, 403, 403, 403, 403, 403, 403, 200},
	"create-token":       {403, 403, 403, 403, 403, 403, 403, 200},
	"list-tokens":        {403, 403, 403, 403, 403, 403, 403, 200},
	"delete-token":       {403, 403, 403, 403, 403, 403, 403, 204},
	"create-certificate": {403, 403, 403, 403, 403, 403, 403, 200},
	"version":            {403, 403, 200, 403, 403, 200, 200, 200},
	"join":               {200, 200, 200, 200, 200, 200, 200, 200}, // with a token that is good
}

// variants are operations that depend on what is in their body.
var variants = map[string]string{"audit to mend": "audit"}

// S2, S15: each operation of the API's own document is called as everybody, over
// real TLS, and the answers are those of the table. A new one that is not in the
// table fails.
func TestS15_EveryRouteAsEverybody(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	seen := map[string]bool{}
	for _, r := range c.routes() {
		names := []string{r.operation}
		for name, of := range variants {
			if of == r.operation {
				names = append(names, name)
			}
		}
		for _, name := range names {
			seen[name] = true
			want, listed := answers[name]
			if !listed {
				t.Errorf("%s (%s %s) is not in the table of who may call what", name, r.method, r.path)
				continue
			}
			for i, who := range callers {
				code, answer := c.call(name, r.method, r.path, who)
				if code != want[i] {
					t.Errorf("%s as %s: %d, want %d: %.300s", name, who, code, want[i], answer)
				}
				if code == http.StatusForbidden && !strings.Contains(answer, `"code":"refused"`) {
					t.Errorf("%s as %s is refused with %.300s", name, who, answer)
				}
			}
		}
	}
	for name := range answers {
		if !seen[name] {
			t.Errorf("%s is in the table and not in the document", name)
		}
	}
}

// S2: a node is told the same of what is another's and of what is not there, may
// not act for another in a body, and learns nobody else's name.
func TestS2_ANodeSeesNothingOfOthers(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.call("get-claim", "GET", "/v1/claims/{id}", "itself") // makes the claim
	another := c.callers["another"]
	shape := regexp.MustCompile(`(clm|nic)-[0-9a-f]{16}`)
	for _, pair := range [][2]string{
		{"/v1/claims/" + string(c.claim.ID), "/v1/claims/" + string(nic.NewClaimID())},
		{"/v1/nics/" + string(c.claim.NIC), "/v1/nics/" + string(nic.NewID())},
	} {
		theirs, answer := c.send(another, "GET", pair[0], nil)
		none, nothing := c.send(another, "GET", pair[1], nil)
		if theirs != 403 || none != 403 || shape.ReplaceAllString(answer, "") != shape.ReplaceAllString(nothing, "") {
			t.Errorf("%s is %d %s, and one that is not there %d %s", pair[0], theirs, answer, none, nothing)
		}
	}
	for what, body := range map[string]string{
		"/v1/claims": c.body("acquire", "n1"),
		"/v1/claims/" + string(c.claim.ID) + "/release": `{"epoch":1}`,
	} {
		if code, answer := c.send(another, "POST", what, strings.NewReader(body)); code != 403 || strings.Contains(what, "release") && strings.Contains(answer, `n1`) {
			t.Errorf("%s of another node's: %d %s", what, code, answer)
		}
	}
	// What was its own by an older epoch has moved on: that it has to be told.
	if code, answer := c.send(another, "POST", "/v1/claims/"+string(c.claim.ID)+"/release", strings.NewReader(`{"epoch":0}`)); code != 409 || !strings.Contains(answer, "has moved on") || strings.Contains(answer, "n1") {
		t.Errorf("release with an older epoch: %d %s", code, answer)
	}
	if _, err := c.backend.Claim(t.Context(), c.claim.ID); err != nil {
		t.Errorf("the claim is gone: %v", err)
	}
}

// S2: a node that a claim is on its way to cannot end it where it still is, neither
// its present nor its next epoch, and nor can who has it end what it will be.
func TestS2_ANodeEndsNoClaimOnItsWay(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.call("get-claim", "GET", "/v1/claims/{id}", "itself") // makes the claim
	claim, err := c.backend.Claim(t.Context(), c.claim.ID)
	if err != nil {
		t.Fatal(err)
	}
	claim.Phase, claim.Move = nic.ClaimMoving, &nic.ClaimMove{From: claim.Owner, To: nic.Owner{Node: "n2"}, At: claim.Owner.Node}
	c.backend.PutClaim(claim)
	for who, epochs := range map[string][]uint64{"another": {claim.Epoch, claim.Epoch + 1}, "itself": {claim.Epoch + 1}} {
		for _, epoch := range epochs {
			code, answer := c.send(c.callers[who], "POST", "/v1/claims/"+string(claim.ID)+"/release", strings.NewReader(fmt.Sprintf(`{"epoch":%d}`, epoch)))
			if code != 204 {
				t.Errorf("%s, epoch %d: %d %s", who, epoch, code, answer)
			}
			if _, err := c.backend.Claim(t.Context(), claim.ID); err != nil {
				t.Fatalf("%s, epoch %d: it was released: %v", who, epoch, err)
			}
		}
	}
}

// S15: no secret is ever in a URL, where logs and proxies would keep it.
func TestS15_NoSecretInAnyURL(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string } `json:"parameters"`
		} `json:"paths"`
	}
	if err := json.NewDecoder(c.controller.send("GET", "/openapi.json", "").Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	allowed := []string{"path name", "path id", "query after", "query limit", "query type", "query session", "path stream", "query stream", "query follow", "header Last-Event-ID"}
	parameters := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			for _, p := range op.Parameters {
				parameters++
				if !slices.Contains(allowed, p.In+" "+p.Name) {
					t.Errorf("%s %s takes %s %s: no secret, then add it here", method, path, p.In, p.Name)
				}
			}
		}
	}
	if parameters < 10 {
		t.Errorf("the document has only %d parameters", parameters)
	}
}

// S15: a method that no route has is refused, whoever sends it.
func TestS15_WrongMethods(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	has := map[string][]string{}
	for _, r := range c.routes() {
		has[r.path] = append(has[r.path], r.method)
	}
	has["/v1/moves/plan"] = append(has["/v1/moves/plan"], "GET") // a move that is called plan
	for path, methods := range has {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FROB"} {
			if slices.Contains(methods, method) || method == "HEAD" && slices.Contains(methods, "GET") || method == "CONNECT" {
				continue
			}
			for _, who := range []string{"nobody", "another", "admin"} {
				full := strings.NewReplacer("{name}", "n1", "{id}", "clm-0123456789abcdef", "{stream}", "str-0").Replace(path)
				if code, answer := c.send(c.callers[who], method, full, nil); code != http.StatusMethodNotAllowed {
					t.Errorf("%s %s as %s: %d %.200s", method, full, who, code, answer)
				}
			}
		}
	}
}

// A flood is a body without an end that counts what was taken of it.
type flood struct{ taken atomic.Int64 }

const floodEnd = 64 << 20

func (f *flood) Read(p []byte) (int, error) {
	if f.taken.Load() >= floodEnd {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'a'
	}
	f.taken.Add(int64(len(p)))
	return len(p), nil
}

// S15: who is nobody cannot have the controller read much, on any route.
func TestS15_LargeBodiesAsNobody(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	for _, r := range c.routes() {
		body := &flood{}
		path := strings.NewReplacer("{name}", "n1", "{id}", "clm-0123456789abcdef", "{stream}", "str-0").Replace(r.path)
		code, answer := c.send(c.callers["nobody"], r.method, path, body)
		hungUp := code == 0 && (strings.Contains(answer, "connection reset") || strings.Contains(answer, "broken pipe") || strings.Contains(answer, "closed"))
		if code != 403 && code != 413 && code != 422 && code != 400 && !hungUp {
			t.Errorf("%s %s: %d %.200s", r.method, path, code, answer)
		}
		if taken := body.taken.Load(); taken > 16<<20 { // what the buffers of the two sockets take, and then some
			t.Errorf("%s %s took %d MiB", r.method, path, taken>>20)
		}
	}
}

// The log of all this has no secret in it: no token, no key.
func TestS15_TheLogHasNoToken(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	for _, r := range c.routes() {
		for _, who := range []string{"nobody", "itself", "admin"} {
			c.call(r.operation, r.method, r.path, who)
		}
	}
	token, err := c.trust.CreateToken(t.Context(), api.TokenRequest{Node: "n5"})
	if err != nil {
		t.Fatal(err)
	}
	c.send(c.callers["nobody"], "POST", "/v1/join", strings.NewReader(text(t, api.JoinRequest{Token: token.Text, CSR: c.csr})))
	log := c.log.String()
	if strings.Contains(log, string(token.Text)) || strings.Contains(log, "PRIVATE KEY") || strings.Contains(log, "BEGIN CERTIFICATE REQUEST") {
		t.Errorf("the log has a secret:\n%s", log)
	}
	if !strings.Contains(log, "audit=true") {
		t.Errorf("refusals are not in the audit log:\n%s", log)
	}
}

// A token that somebody gives for an id is not in the log either, at any level.
func TestS15_NoTokenInTheLogOfRequests(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	ctl := start(t, func(o *server.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	token := must(api.TokenContent{Node: "n1", ID: "tok-1", Secret: "s3cret", CA: "00"}.Encode())
	ctl.send("DELETE", "/v1/tokens/"+string(token), "")
	if logged := log.String(); !strings.Contains(logged, "path=/v1/tokens/nft1_…") || strings.Contains(logged, string(token)) {
		t.Errorf("the log says\n%s", logged)
	}
}
