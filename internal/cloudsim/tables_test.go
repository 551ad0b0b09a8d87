package cloudsim_test

import (
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// Every number and text that EC2 decides says where it is known from.
func TestEveryRowHasASource(t *testing.T) {
	unsure := map[string]int{}
	tell := func(table, row, source string) {
		if source == "" {
			t.Errorf("%s: %s has no source", table, row)
		}
		if strings.Contains(source, "[K]") {
			unsure[table]++
		}
	}
	refusals, buckets, types := cloudsim.Refusals(), cloudsim.KnownBuckets(), cloudsim.InstanceTypes()
	for k, r := range refusals {
		tell("refusals", k, r.Source)
	}
	for k, b := range buckets {
		tell("buckets", k, b.Source)
	}
	for _, i := range types {
		tell("types", i.Name, i.Source)
	}
	t.Logf("%d refusals, %d buckets, %d instance types; not confirmed: %v", len(refusals), len(buckets), len(types), unsure)
}

// What the EC2 user guide says of instance types.
func TestInstanceTypesAreAsDocumented(t *testing.T) {
	is := map[string]cloudsim.InstanceType{}
	for _, i := range cloudsim.InstanceTypes() {
		is[i.Name] = i
	}
	for name, want := range map[string][4]int{ // interfaces, IPv4 and IPv6 per interface, cards
		"m5.large": {3, 10, 10, 1}, "m5.xlarge": {4, 15, 15, 1}, "m5.4xlarge": {8, 30, 30, 1}, "m5.16xlarge": {15, 50, 50, 1},
		"c5.large": {3, 10, 10, 1}, "p4d.24xlarge": {60, 50, 50, 4}, "c6in.32xlarge": {16, 50, 50, 2}, "trn1.32xlarge": {40, 50, 50, 8},
	} {
		i := is[name]
		if got := [4]int{i.MaxInterfaces, i.IPv4PerInterface, i.IPv6PerInterface, len(i.Cards)}; got != want {
			t.Errorf("%s: %v, not %v", name, got, want)
		}
	}
}

// A tag in the create call is there from the first moment; others come and go,
// and can be listed.
func TestTags(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	e := w.create(cloudsim.CreateInterface{Tags: cloudsim.Tags{"a": "1", "b": "2"}})
	ctx := t.Context()
	must(0, w.CreateTags(ctx, w.call, []string{e.ID, w.node.ID}, cloudsim.Tags{"b": "3", "c": "4"}))(t)
	same(t, w.get(e.ID).Tags, cloudsim.Tags{"a": "1", "b": "3", "c": "4"})
	must(0, w.DeleteTags(ctx, w.call, []string{e.ID}, []cloudsim.Untag{{Key: "a", Value: new("other")}, {Key: "b"}, {Key: "none"}}))(t)
	same(t, w.get(e.ID).Tags, cloudsim.Tags{"a": "1", "c": "4"})
	p := must(w.DescribeTags(ctx, w.call, cloudsim.Describe{Filters: []cloudsim.Filter{{Name: "resource-type", Values: []string{"network-interface"}}}}))(t)
	same(t, p.Items, []cloudsim.Tag{{Resource: e.ID, Type: "network-interface", Key: "a", Value: "1"}, {Resource: e.ID, Type: "network-interface", Key: "c", Value: "4"}})
	must(0, w.DeleteTags(ctx, w.call, []string{e.ID}, nil))(t)
	if err := w.CreateTags(ctx, w.call, []string{e.ID, "eni-" + nobody}, cloudsim.Tags{"d": "5"}); code(err) != missing {
		t.Errorf("one is missing: %v", err)
	}
	same(t, len(w.get(e.ID).Tags), 0)
}

// An association is idempotent, moves by default, and goes with the interface
// (the SDK's documentation of AssociateAddressInput, terraform-provider-aws).
func TestPublicAddresses(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	a, b := w.create(cloudsim.CreateInterface{}), w.create(cloudsim.CreateInterface{})
	p := w.public()
	on := func(e cloudsim.Interface) string {
		return must(w.associate(cloudsim.AssociateAddress{Allocation: p.Allocation, Interface: e.ID}))(t)
	}
	first := on(a)
	if again := on(a); again != first {
		t.Errorf("the same again is %s, not %s", again, first)
	}
	if moved := on(b); moved == first || w.get(a.ID).IPv4[0].Association != nil || w.get(b.ID).IPv4[0].Association.Public != p.Public {
		t.Errorf("moved, it is %s", moved)
	}
	must(0, w.DeleteInterface(t.Context(), w.call, b.ID))(t)
	seen := must(w.DescribeAddresses(t.Context(), w.call, cloudsim.Describe{}))(t).Items
	if len(seen) != 1 || seen[0].Association != "" || seen[0].Private.IsValid() {
		t.Errorf("its interface gone, it is %+v", seen)
	}
	must(0, w.ReleaseAddress(t.Context(), w.call, p.Allocation))(t)
}
