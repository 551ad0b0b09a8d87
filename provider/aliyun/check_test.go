package aliyun

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// A check names what a network lacks, and makes nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		good := nic.Network{Name: "good", Cloud: nic.Cloud{Subnets: w.Nets[:], Groups: []string{w.Group}}}
		bad := nic.Network{Name: "bad", Cloud: nic.Cloud{
			Subnets: []string{"vsw-0123456789abcdef0"}, Groups: []string{"sg-0123456789abcdef0", w.Group, w.Group, w.Group, w.Group, w.Group},
		}}
		said := map[provider.Verdict]string{}
		for _, f := range w.Check(t.Context(), []nic.Network{good, bad}) {
			said[f.Verdict] += fmt.Sprintf("%s: %s: %s\n", f.Network, f.About, f.Message)
		}
		for verdict, wants := range map[provider.Verdict][]string{
			provider.Good: {
				": permission vpc:DescribeVSwitches", ": permission ecs:ListTagResources", "good: permission ecs:CreateNetworkInterface", "good: group " + w.Group,
				"good: subnet " + w.Nets[2] + ": in zone cn-hangzhou-b, ",
			},
			provider.Bad:     {"bad: subnet vsw-0123456789abcdef0: there is none", "bad: group sg-0123456789abcdef0: there is none"},
			provider.Unknown: {"bad: quota: 6 groups", ": permission ecs:AttachNetworkInterface: cannot be tried"},
		} {
			for _, want := range wants {
				if !strings.Contains(said[verdict], want) {
					t.Errorf("%s: no %q in\n%s", verdict, want, said[verdict])
				}
			}
		}
		if strings.Contains(said[provider.Bad], "good:") {
			t.Errorf("faults:\n%s", said[provider.Bad])
		}
		w.Clean(0)
	})
}

// A check names the floating addresses that there are not, and that nobody may look at them.
func TestCheckOfHaVips(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		there := haVip(w).ID
		n := nic.Network{Name: "vpc", Cloud: nic.Cloud{Subnets: w.Nets[:1], Groups: []string{w.Group}, Floating: []string{there, "havip-bp1none"}}}
		check := func() map[string]provider.Finding {
			found := map[string]provider.Finding{}
			for _, f := range w.Check(t.Context(), []nic.Network{n}) {
				found[strings.TrimPrefix(f.About, "floating address ")] = f
			}
			return found
		}
		if f := check()[there]; f.Verdict != provider.Good || f.Network != "vpc" {
			t.Errorf("one that there is: %+v", f)
		}
		if f := check()["havip-bp1none"]; f.Verdict != provider.Bad || !strings.Contains(f.Message, "there is none") {
			t.Errorf("one that there is not: %+v", f)
		}
		w.Inject(cloudsim.Fault{Verb: cloudsim.Fail, API: apiDescribeHaVips, Code: "NoPermission", Count: -1})
		if f := check()[there]; f.Verdict != provider.Bad || !strings.Contains(f.Message, "NoPermission") {
			t.Errorf("one that may not be looked at: %+v", f)
		}
	})
}

// A plan has the type's limits without its own interface, or with a trunk's members, and what
// the vSwitches have.
func TestPlan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		spec := nic.Spec{Cloud: nic.CloudSpec{Subnets: w.Nets[:2]}}
		plan, err := w.Plan(t.Context(), spec, "ecs.g7.large")
		w.Must(err)
		if plan.Fresh.Free != plan.Fresh.NICs-1 || len(plan.Bounds) != 1 || plan.Bounds[0].Room < 400 || plan.Bounds[0].Room > 510 || len(plan.Calls) == 0 {
			t.Errorf("%+v", plan)
		}
		spec.Cloud.Trunk = true
		if members, err := w.Plan(t.Context(), spec, "ecs.g7.large"); err != nil || members.Fresh.NICs <= plan.Fresh.NICs || members.Fresh.Slot == plan.Fresh.Slot {
			t.Errorf("of a trunk's members %+v, %v", members, err)
		}
		if _, err := w.Plan(t.Context(), spec, "ecs.none"); err == nil || !strings.Contains(err.Error(), "ecs.none") {
			t.Errorf("an unknown type: %v", err)
		}
		spec.Cloud.Subnets = []string{"vsw-0123456789abcdef0"}
		if _, err := w.Plan(t.Context(), spec, ""); err == nil {
			t.Error("an unknown vSwitch has a plan")
		}
	})
}

// Permissions that are missing are named by their actions, and the others are not.
func TestCheckNamesWhatIsNotPermitted(t *testing.T) {
	t.Parallel()
	for _, action := range []string{apiDescribeVSwitches, apiDescribeTypes, apiListTags, apiCreateInterface, apiModifyInterface, apiAssign4} {
		for _, code := range []string{"Forbidden.RAM", "NoPermission"} {
			t.Run(action+"/"+code, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := open(t, cloudsim.Options{})
					before := w.Created(enitest.ID(0))
					w.Inject(cloudsim.Fault{Verb: cloudsim.Fail, API: action, Code: code, Count: -1})
					n := nic.Network{Name: "vpc", Cloud: nic.Cloud{Subnets: w.Nets[:1], Groups: []string{w.Group}, Shared: true}}
					got := provider.Verdict("")
					for _, f := range w.Check(t.Context(), []nic.Network{n}) {
						if f.About == about(action) {
							if got = f.Verdict; !strings.Contains(f.Message, permission(action)) {
								t.Errorf("%+v does not name it", f)
							}
						} else if f.Verdict == provider.Bad {
							t.Errorf("%+v", f)
						}
					}
					if got != provider.Bad {
						t.Errorf("it is %q", got)
					}
					if now := w.Until(enitest.ID(0), nic.StateAvailable); len(now.Addrs) != len(before.Addrs) || len(w.Ours()) != 1 {
						t.Errorf("the check left %+v of %+v", now, before)
					}
				})
			})
		}
	}
}

// To a cloud that does not know who asks, nothing more is tried.
func TestCheckOfNobody(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"InvalidAccessKeyId.NotFound", "SignatureDoesNotMatch", "InvalidSecurityToken.Expired"} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, cloudsim.Options{})
			w.Inject(cloudsim.Fault{Verb: cloudsim.Fail, API: "*", Code: code, Count: -1})
			found := w.Check(t.Context(), []nic.Network{{Name: "vpc", Cloud: nic.Cloud{Subnets: w.Nets[:1], Groups: []string{w.Group}}}})
			if len(found) != 1 || found[0].Verdict != provider.Bad || !strings.Contains(found[0].Message, "credentials") {
				t.Errorf("%s: %+v", code, found)
			}
		})
	}
}
