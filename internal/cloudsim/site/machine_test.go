package site_test

import (
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
)

// Instances that stand for machines have the ids that were asked for, and are
// where an interface can go from one to the other.
func TestMachines(t *testing.T) {
	t.Parallel()
	want := []site.Machine{{ID: "i-0123456789abcdef0", Name: "vm1"}, {ID: "i-0123456789abcdef1", Name: "vm2"}}
	s, err := site.Start(t.Context(), site.Options{Instances: 1, Type: "m5.xlarge", Machines: want})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	got := s.About.Instances
	if len(got) != 3 || got[0].Name != "node1" {
		t.Fatalf("%+v", got)
	}
	for n, m := range want {
		i := got[1+n]
		if i.ID != m.ID || i.Name != m.Name || i.Type != "m5.xlarge" || i.Subnet != s.About.Subnets[0].ID || i.Zone != s.About.Subnets[0].Zone || i.Metadata == "" {
			t.Errorf("%+v", i)
		}
	}
}
