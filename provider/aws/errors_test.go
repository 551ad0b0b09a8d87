package aws

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A row is one of testdata/errors.tsv.
type row struct {
	code                               string
	status                             int
	verb, action, message, kind, scope string
}

func rowsOf(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile("testdata/errors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var all []row
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 9 || f[7] == "" || f[8] == "" {
			t.Fatalf("line %d has %d fields; want 9, with reaction and source", n+1, len(f))
		}
		status, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		all = append(all, row{f[0], status, f[2], f[3], f[4], f[5], f[6]})
	}
	return all
}

// TestErrors answers each row to the SDK and holds what the verb says against it.
func TestErrors(t *testing.T) {
	t.Parallel()
	rows := rowsOf(t)
	for i, r := range rows {
		t.Run(fmt.Sprintf("%s/%s/%d", r.verb, r.code, i), func(t *testing.T) {
			t.Parallel()
			p, s := scripted(t)
			before(t, p, s, r.verb)
			s.say(r.action, refusal(r.status, r.code, r.message))
			err := do(t, p, r.verb)
			if len(s.made(r.action)) == 0 {
				t.Fatalf("%s made no %s", r.verb, r.action)
			}
			if r.kind == "success" {
				if err != nil {
					t.Errorf("%v; want success", err)
				}
				return
			}
			e, ok := errors.AsType[*provider.Error](err)
			if !ok {
				t.Fatalf("%v (%T) is no *provider.Error", err, err)
			}
			if e.Kind.Error() != r.kind || string(e.Scope) != r.scope {
				t.Errorf("%v, with scope %q; want %q and scope %q", err, e.Scope, r.kind, r.scope)
			}
			if e.Kind == provider.ErrThrottled && e.RetryAfter <= 0 {
				t.Error("throttled, and not told for how long")
			}
			if e.Kind == provider.ErrThrottled && len(s.made(r.action)) != 1 {
				t.Errorf("%d calls, with the tokens used up", len(s.made(r.action)))
			}
		})
	}
	t.Logf("%d rows of %d codes", len(rows), len(codes(rows)))
}

func codes(rows []row) map[string]bool {
	all := map[string]bool{}
	for _, r := range rows {
		all[bare(r.code)] = true
	}
	return all
}

// TestErrorsHasEveryRule: no rule stands without a row that shows it.
func TestErrorsHasEveryRule(t *testing.T) {
	t.Parallel()
	rows := rowsOf(t)
	for _, r := range rules() {
		if r.code == "UnknownError" { // the SDK's own, for bodies that say none: see TestNoAnswer
			continue
		}
		shown := false
		for _, row := range rows {
			shown = shown || row.code == r.code && strings.Contains(row.message, r.says) && (r.api == "" || r.api == row.action)
		}
		if !shown {
			t.Errorf("no row shows %s %q", r.code, r.says)
		}
	}
}

// before brings about what a verb needs.
func before(t *testing.T, p *Provider, s *script, verb string) {
	t.Helper()
	switch verb, how, _ := strings.Cut(verb, " "); {
	case how == "young":
		if _, err := p.Create(t.Context(), testSpec()); err != nil {
			t.Fatal(err)
		}
		if verb == "attach" {
			s.shows("available", "")
		}
	case how == "after unknown":
		s.say(apiCreateInterface, refusal(http.StatusInternalServerError, "InternalError", "oops"))
		if _, err := p.Create(t.Context(), testSpec()); !errors.Is(err, provider.ErrUnknown) {
			t.Fatal(err)
		}
	case verb == "attach", verb == "delete", verb == "assign", verb == "unassign", verb == "publish":
		s.shows("available", "")
	case verb == "detach":
		s.shows("in-use", "attached")
	case verb == "unpublish":
		s.showsAddress()
	}
}

// do does the verb.
func do(t *testing.T, p *Provider, verb string) error {
	t.Helper()
	ctx := t.Context()
	var err error
	switch verb, how, _ := strings.Cut(verb, " "); verb {
	case "create":
		_, err = p.Create(ctx, testSpec())
	case "forward":
		spec := testSpec()
		spec.Cloud.Forwards = true
		_, err = p.Create(ctx, spec)
	case "attach":
		place := testPlace()
		if how == "carried" {
			place.Node = "web2"
		}
		_, err = p.Attach(ctx, testNIC, place)
	case "detach":
		err = p.Detach(ctx, testNIC, testInstance)
	case "delete":
		err = p.Delete(ctx, testNIC)
	case "get":
		_, err = p.Get(ctx, testNIC)
	case "list":
		_, err = p.List(ctx)
	case "limits":
		_, err = p.Limits(ctx, testInstance)
	case "place":
		spec := testSpec()
		spec.Cloud = nic.CloudSpec{Subnets: []string{testSubnet}}
		_, err = p.Place(ctx, spec, nic.Node{Name: testNode, Instances: map[string]nic.InstanceID{"cloud": testInstance}})
	case "assign":
		err = p.Assign(ctx, testNIC, texted("10.0.0.9"), "")
	case "unassign":
		err = p.Unassign(ctx, testNIC, texted("10.0.0.7"))
	case "publish":
		_, err = p.Publish(ctx, testClaim, testNIC)
	case "unpublish":
		err = p.Unpublish(ctx, testClaim)
	default:
		t.Fatalf("no verb %q", verb)
	}
	return err
}

// TestNoAnswer: what is no answer of EC2 may have taken place, and is never an
// empty list.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]answer{
		"HTML 502":       {status: http.StatusBadGateway, raw: true, body: "<html><body>Bad Gateway</body></html>"},
		"HTML 500":       {status: http.StatusInternalServerError, raw: true, body: "<html><body><br>oops</body></html>"},
		"HTML 200":       {status: http.StatusOK, raw: true, body: "<!DOCTYPE html><html><body>Please log in</body></html>"},
		"empty 200":      {status: http.StatusOK, raw: true},
		"empty 500":      {status: http.StatusInternalServerError, raw: true},
		"empty 403":      {status: http.StatusForbidden, raw: true},
		"ErrorResponse":  {status: http.StatusBadRequest, raw: true, body: "<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>"},
		"another's 200":  {status: http.StatusOK, raw: true, body: "<DescribeVpcsResponse></DescribeVpcsResponse>"},
		"JSON 200":       {status: http.StatusOK, raw: true, body: `{"message":"Internal server error"}`},
		"half of it":     {status: http.StatusOK, raw: true, body: "<ACTIONResponse><requestId>r</requestId><networkInterfaceSet><item><networkInt"},
		"an empty thing": {status: http.StatusOK, raw: true, body: "<ACTIONResponse"},
	} {
		for verb, action := range map[string]string{
			"create": apiCreateInterface, "attach": apiAttachInterface, "get": apiDescribeInterfaces, "list": apiDescribeInterfaces,
			"limits": apiDescribeInstances, "place": apiDescribeSubnets, "publish": apiAllocateAddress,
		} {
			t.Run(verb+"/"+name, func(t *testing.T) {
				t.Parallel()
				p, s := scripted(t)
				before(t, p, s, verb)
				s.do(action, func(url.Values) answer {
					a := a
					a.body = strings.ReplaceAll(a.body, "ACTION", action)
					return a
				})
				err := do(t, p, verb)
				if !errors.Is(err, provider.ErrUnknown) {
					t.Errorf("%v; want unknown", err)
				}
			})
		}
	}
}
