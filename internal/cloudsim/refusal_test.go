package cloudsim_test

import (
	"errors"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

const nobody = "0123456789abcdef0" // of no id

// Each row of refusals.tsv, which names its source, is brought about by a call.
func TestEveryRefusalIsBroughtAbout(t *testing.T) {
	cases := map[string]func(*world) error{}
	for _, some := range []map[string]func(*world) error{refusalsOfAttaching, refusalsOfCreating, refusalsOfAddresses, refusalsOfReading, refusalsOfTrunks, refusalsOfLimits, refusalsOfBinding, refusalsOfHaVips} {
		maps.Copy(cases, some)
	}
	table := cloudsim.Refusals()
	for _, key := range slices.Sorted(maps.Keys(table)) {
		do := cases[key]
		if do == nil {
			t.Errorf("%s: no call here brings it about", key)
			continue
		}
		t.Run(key, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cloudsim.Options{Latency: fixed, Quotas: cloudsim.Quotas{Interfaces: 6, GroupsPerInterface: 2, TagsPerResource: 2, Addresses: 2, UnattachedIPv4: 12}})
				err := do(w)
				r := table[key]
				e, ok := errors.AsType[*cloudsim.Error](err)
				if !ok {
					t.Fatalf("no refusal but: %v", err)
				}
				said := regexp.MustCompile(`^` + strings.NewReplacer(`%s`, `(?s:.*)`, `%d`, `-?\d+`).Replace(regexp.QuoteMeta(r.Message)) + `$`)
				if e.Code != r.Code || e.Status != r.Status || !said.MatchString(e.Message) {
					t.Errorf("it is %d %v, and by %s %d %s: %s", e.Status, e, r.Source, r.Status, r.Code, r.Message)
				}
				log := w.Log(0)
				if last := log[len(log)-1]; last.API != "" && last.Code != r.Code {
					t.Errorf("the log says %q", last.Code)
				}
			})
		})
	}
	if extra := len(cases) - len(table); extra > 0 {
		t.Errorf("%d calls here are for no row", extra)
	}
}

var refusalsOfCreating = map[string]func(*world) error{
	"subnet.missing": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Subnet: "subnet-" + nobody})
	},
	"subnet.full": func(w *world) error {
		small := must(w.AddSubnet(cloudsim.Subnet{VPC: "vpc-1", Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.0.9.0/28")}))(w.t)
		w.create(cloudsim.CreateInterface{Subnet: small.ID, IPv4Count: 10})
		return w.refused(cloudsim.CreateInterface{Subnet: small.ID})
	},
	"subnet.blocks": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Subnet: w.far.ID, IPv4PrefixCount: 16})
	},
	"subnet.noipv6": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Subnet: w.far.ID, IPv6Count: new(1)})
	},
	"group.missing": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Groups: []string{"sg-" + nobody}})
	},
	"group.unknown": func(w *world) error {
		return w.ModifyInterface(w.t.Context(), w.call, cloudsim.ModifyInterface{Interface: w.create(cloudsim.CreateInterface{}).ID, Groups: []string{"sg-" + nobody}})
	},
	"group.none": func(w *world) error {
		return w.ModifyInterface(w.t.Context(), w.call, cloudsim.ModifyInterface{Interface: w.create(cloudsim.CreateInterface{}).ID, Groups: []string{}})
	},
	"group.foreign": func(w *world) error {
		v := must(w.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.1.0.0/16")}))(w.t)
		g := must(w.AddGroup(cloudsim.SecurityGroup{VPC: v.ID}))(w.t)
		return w.refused(cloudsim.CreateInterface{Groups: []string{g.ID}})
	},
	"group.limit": func(w *world) error {
		ids := []string{"sg-1"}
		for range 2 {
			ids = append(ids, must(w.AddGroup(cloudsim.SecurityGroup{VPC: "vpc-1"}))(w.t).ID)
		}
		return w.refused(cloudsim.CreateInterface{Groups: ids})
	},
	"vpc.missing": func(w *world) error {
		_, err := w.DescribeVPCs(w.t.Context(), w.call, cloudsim.Describe{IDs: []string{"vpc-" + nobody}})
		return err
	},
	"type.missing": func(w *world) error {
		_, err := w.DescribeInstanceTypes(w.t.Context(), w.call, cloudsim.Describe{IDs: []string{"m99.large"}})
		return err
	},
	"eni.quota": func(w *world) error {
		for range 4 {
			w.create(cloudsim.CreateInterface{})
		}
		return w.refused(cloudsim.CreateInterface{})
	},
	"token.mismatch": func(w *world) error {
		w.create(cloudsim.CreateInterface{Token: "t"})
		return w.refused(cloudsim.CreateInterface{Token: "t", Description: "another"})
	},
	"combination": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{IPv4Count: 1, IPv4PrefixCount: 1})
	},
	"value": func(w *world) error { return w.refused(cloudsim.CreateInterface{Kind: "telephone"}) },
	"tag.reserved": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Tags: cloudsim.Tags{"aws:mine": "x"}})
	},
	"tag.limit": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Tags: cloudsim.Tags{"a": "", "b": "", "c": ""}})
	},
	"tag.resource": func(w *world) error {
		return w.CreateTags(w.t.Context(), w.call, []string{"telephone-1"}, cloudsim.Tags{"a": "b"})
	},
	"ip.inuse": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Primary: w.create(cloudsim.CreateInterface{}).Primary()})
	},
	"ip.outside": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Primary: netip.MustParseAddr("10.0.3.9")})
	},
	"ip.reserved": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{Primary: netip.MustParseAddr("10.0.1.3")})
	},
	"prefix.size": func(w *world) error {
		return w.refused(cloudsim.CreateInterface{IPv4Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.1.64/27")}})
	},
}

// refused is the error of a create.
func (w *world) refused(r cloudsim.CreateInterface) error {
	if r.Subnet == "" {
		r.Subnet = w.near.ID
	}
	_, err := w.CreateInterface(w.t.Context(), w.call, r)
	return err
}
