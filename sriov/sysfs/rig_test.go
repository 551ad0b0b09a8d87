//go:build linux

package sysfs_test

import (
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/sriov"
	"github.com/nicferry/nicferry/sriov/sysfs"
	"github.com/nicferry/nicferry/sriov/sysfs/sysfstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	first  = sriov.Address("0000:01:00.0")
	second = sriov.Address("0000:02:00.0")
)

// pair are the two cards that most tests have.
func pair() []sysfstest.Card {
	return []sysfstest.Card{
		{Name: "eth1", Address: first, TotalVFs: 7, IOMMU: true},
		{Name: "eth2", Address: second, TotalVFs: 7, IOMMU: true, NUMA: 1},
	}
}

// A bench is a machine and what reads it.
type bench struct {
	*sysfstest.Machine
	*sysfs.Tree
	t    *testing.T
	told []string
}

func machine(t *testing.T, cards ...sysfstest.Card) *bench {
	t.Helper()
	b := &bench{Machine: sysfstest.New(t, cards...), t: t}
	b.Tree = b.again(nil)
	return b
}

// again is another process that reads the same machine.
func (b *bench) again(elsewhere map[sriov.Address]string) *sysfs.Tree {
	return sysfs.New(sysfs.Options{
		Root: b.Root(), State: filepath.Join(b.Root(), "run"), Write: b.Write,
		Elsewhere: func() (map[sriov.Address]string, error) { return elsewhere, nil },
		Told:      func(step string) { b.told = append(b.told, step) },
	})
}

// enable makes VFs, which must work.
func (b *bench) enable(name string, n int) sriov.PF {
	b.t.Helper()
	pf, _, err := b.Enable(b.t.Context(), name, n)
	if err != nil {
		b.t.Fatal(err)
	}
	return pf
}

func (b *bench) pf(name string) sriov.PF {
	b.t.Helper()
	pf, err := b.PF(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return pf
}

// numvfs are the numbers that were written to a card.
func (b *bench) numvfs(a sriov.Address) string {
	var all []string
	for _, w := range b.Writes() {
		if n, ok := strings.CutPrefix(w, "bus/pci/devices/"+string(a)+"/sriov_numvfs "); ok {
			all = append(all, n)
		}
	}
	return strings.Join(all, " ")
}
