package aliyun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// A row is one of testdata/errors.tsv.
type row struct {
	code                         string
	status                       int
	action, kind, scope, message string
}

// rowsOf are the rows of a table of so many columns.
func rowsOf(t *testing.T, file string, columns int) [][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != columns || f[columns-1] == "" || f[columns-2] == "" {
			t.Fatalf("%s: %q is to have %d fields", file, line, columns)
		}
		all = append(all, f)
	}
	return all
}

// errorsOf are the rows by code.
func errorsOf(t *testing.T) map[string][]row {
	t.Helper()
	all := map[string][]row{}
	for _, f := range rowsOf(t, "testdata/errors.tsv", 8) {
		status, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		all[f[0]] = append(all[f[0]], row{f[0], status, f[2], f[3], f[4], f[5]})
	}
	return all
}

// everyCall makes each call once that is made here, as the clouds' verbs make it.
func everyCall(c *cloud) map[string]func(context.Context) error {
	f := eni.Interface{ID: "eni-1", Subnet: "vsw-1", Plug: &eni.Plug{ID: "i-1", Instance: "i-1"}}
	four, six := enitest.Addrs("10.80.0.9"), enitest.Addrs("fd80::9")
	public := eni.PublicAddr{ID: "eip-1", Interface: f.ID, Association: f.ID}
	spec := nic.Spec{NIC: enitest.ID(1), Cloud: nic.CloudSpec{Subnet: "vsw-1", Groups: []string{"sg-1"}}}
	give := func(addrs []netip.Addr) func(context.Context) error {
		return func(ctx context.Context) error { return c.give(ctx, f, addrs) }
	}
	take := func(addrs []netip.Addr) func(context.Context) error {
		return func(ctx context.Context) error { return c.take(ctx, f, addrs) }
	}
	return map[string]func(context.Context) error{
		apiDescribeInterfaces: func(ctx context.Context) error { _, err := c.Interfaces(ctx, nil); return err },
		apiListTags:           func(ctx context.Context) error { _, err := c.idsOfAll(ctx); return err },
		apiDescribeInstances:  func(ctx context.Context) error { _, err := c.Instances(ctx, []nic.InstanceID{"i-1"}); return err },
		apiDescribeTypes:      func(ctx context.Context) error { _, err := c.Types(ctx, []string{"ecs.g7.large"}); return err },
		apiDescribeGroups:     func(ctx context.Context) error { _, err := c.Groups(ctx, []string{"sg-1"}); return err },
		apiDescribeVSwitches:  func(ctx context.Context) error { _, err := c.Subnets(ctx, []string{"vsw-1"}); return err },
		apiCreateInterface:    func(ctx context.Context) error { _, err := c.create(ctx, eni.Wanted{Spec: spec}, "t"); return err },
		apiAttachInterface:    func(ctx context.Context) error { _, err := c.Attach(ctx, f, "i-1", 1); return err },
		apiDetachInterface:    func(ctx context.Context) error { return c.Detach(ctx, f) },
		apiDeleteInterface:    func(ctx context.Context) error { return c.Delete(ctx, f) },
		apiModifyInterface:    func(ctx context.Context) error { return c.Tie(ctx, f) },
		apiTag:                func(ctx context.Context) error { return c.Tag(ctx, f, eni.TagNode, "web1") },
		apiAssign4:            give(four),
		apiUnassign4:          take(four),
		apiAssign6:            give(six),
		apiUnassign6:          take(six),
		apiDescribeAddresses:  func(ctx context.Context) error { _, err := c.PublicAddrs(ctx, ""); return err },
		apiAllocateAddress:    func(ctx context.Context) error { _, err := c.allocate(ctx, nic.NewClaimID(), "t"); return err },
		apiAssociateAddress:   func(ctx context.Context) error { return c.Lead(ctx, public, f) },
		apiUnassociate:        func(ctx context.Context) error { return c.Unlead(ctx, public) },
		apiReleaseAddress:     func(ctx context.Context) error { return c.Release(ctx, public) },
	}
}

// TestF13_EveryCodeOnEveryCall: each code is answered to each call over the wire, and means
// what its row says.
func TestF13_EveryCodeOnEveryCall(t *testing.T) {
	t.Parallel()
	for code, rows := range errorsOf(t) {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{})
				p := provided(w)
				first := rows[0]
				w.Inject(cloudsim.Fault{Verb: cloudsim.Fail, API: "*", Count: -1, Code: code, Status: first.status, Message: first.message})
				for action, call := range everyCall(p.cloud) {
					want := rows[len(rows)-1]
					for _, r := range rows {
						if r.action == action {
							want = r
						}
					}
					if want.action != "*" && want.action != action {
						t.Fatalf("no row is for %s", action)
					}
					holds(t, action, call(t.Context()), want)
					if n := w.Cloud.Counts()[action].Calls; n != 1 && (n != attempts || want.kind != provider.ErrUnknown.Error()) {
						t.Errorf("%s is made %d times", action, n)
					}
				}
			})
		})
	}
}

// holds holds an error against a row.
func holds(t *testing.T, action string, err error, want row) {
	t.Helper()
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		t.Errorf("%s: %v (%T) is no *provider.Error", action, err, err)
		return
	}
	if e.Kind.Error() != want.kind || string(e.Scope) != want.scope {
		t.Errorf("%s: %v, with scope %q; want %q and scope %q", action, err, e.Scope, want.kind, want.scope)
	}
	if text := err.Error(); !strings.Contains(text, want.code) || !strings.Contains(text, action) || e.RequestID == "" {
		t.Errorf("%s: %v does not name code, call and request", action, err)
	}
	if later := e.Kind == provider.ErrThrottled || e.Kind == provider.ErrBusy; later != (e.RetryAfter > 0) {
		t.Errorf("%s: %v is to be tried again after %s", action, err, e.RetryAfter)
	}
	if lacks(want.code) && !strings.Contains(text(err), permission(action)) {
		t.Errorf("%s: %v does not name the permission", action, err)
	}
}

func text(err error) string { return fmt.Sprint(err) }

// TestErrorsHasEveryCode: no rule and no code that is known of the clouds stands without a
// row.
func TestErrorsHasEveryCode(t *testing.T) {
	t.Parallel()
	rows := errorsOf(t)
	for _, r := range rules() {
		shown := false
		for _, row := range rows[r.code] {
			shown = shown || row.action == cmp.Or(r.api, "*") && row.kind == r.kind.Error() && row.scope == string(r.scope)
		}
		if !shown {
			t.Errorf("no row shows %s %q", r.code, r.api)
		}
	}
	for _, f := range rowsOf(t, "../../internal/cloudsim/ecs/refusals.tsv", 5) {
		if code := f[1]; len(rows[code]) == 0 && code != "DryRunOperation" {
			t.Errorf("no row shows %s", code)
		}
	}
}

// TestF13_ConflictsPass: each conflict strikes each call of a NIC's life twice, and it
// lives on.
func TestF13_ConflictsPass(t *testing.T) {
	t.Parallel()
	for _, code := range strings.Fields(`OperationConflict Operation.Conflict InvalidOperation.Conflict InvalidOperation.InvalidEniState
		InvalidOperation.InvalidEcsState IncorrectInstanceStatus LastTokenProcessing ServiceUnavailable Throttling Throttling.User TaskConflict
		SystemBusy SignatureNonceUsed IncorrectVSwitchStatus`) {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{})
				for _, action := range []string{apiCreateInterface, apiAttachInterface, apiDetachInterface, apiDeleteInterface} {
					w.Inject(cloudsim.Fault{Verb: cloudsim.Fail, API: action, Code: code, Count: 2})
				}
				w.LivePatiently(enitest.ID(1))
				w.Clean(1)
			})
		})
	}
}
