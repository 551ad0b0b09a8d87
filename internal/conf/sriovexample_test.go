package conf

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/nic"
)

const sriovExample = "../../examples/sriov"

// The example shows each way to have VFs, and its cards are those that its agent cuts.
func TestSRIOVExampleLoads(t *testing.T) {
	t.Parallel()
	c, err := LoadController(filepath.Join(sriovExample, "nicferryd.yaml"))
	if err != nil || c.Providers[0].Kind != KindSRIOV || len(c.Networks) != 4 {
		t.Fatalf("%+v, %v", c, err)
	}
	var plain, bonds, falls, vfio int
	for _, n := range c.Networks {
		switch f := n.Functions; {
		case f.UserSpace:
			vfio++
		case f.Bond == nic.BondActiveBackup && len(f.PFs) == 2:
			bonds++
		case len(f.Fallback) > 0:
			falls++
		case f.Set.VLAN != nil && len(f.PFs) == 1:
			plain++
		}
	}
	if plain != 1 || bonds != 1 || falls != 1 || vfio != 1 {
		t.Errorf("%d with VFs, %d with bonds, %d that fall back, %d for programs", plain, bonds, falls, vfio)
	}
	a, err := LoadAgent(filepath.Join(sriovExample, "agent.yaml"))
	if err != nil || fmt.Sprint(a.SRIOV.Cards) != "[{ens1f0 63} {ens2f0 63}]" || fmt.Sprint(a.SRIOV.Numbering().Listed) != "[ens1f0 ens2f0]" {
		t.Errorf("%+v, %v", a, err)
	}
}
