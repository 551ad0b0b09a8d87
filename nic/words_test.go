package nic_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nicferry/nicferry/nic"
)

func TestIDsReadBack(t *testing.T) {
	id, claim := nic.NewID(), nic.NewClaimID()
	if got, err := nic.ParseID(string(id)); got != id || err != nil {
		t.Errorf("got %v, %v; want %s", got, err, id)
	}
	if got, err := nic.ParseClaimID(string(claim)); got != claim || err != nil {
		t.Errorf("got %v, %v; want %s", got, err, claim)
	}
	for _, bad := range []string{"", "nic-", "nic-0123456789abcde", "nic-0123456789abcdeX", "nic-../../../etc/x", string(claim), string(id) + "0"} {
		if _, err := nic.ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) was accepted", bad)
		}
	}
	if name := id.LinkName("nf"); nic.CheckInterfaceName(name) != nil {
		t.Errorf("link name %q is none", name)
	}
}

func TestMACs(t *testing.T) {
	for _, bad := range []string{"", "00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00", "02:00:00:00:00:00:00:01", "x"} {
		if _, err := nic.ParseMAC(bad); err == nil {
			t.Errorf("ParseMAC(%q) was accepted", bad)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		mac := nic.NewMAC()
		if mac[0]&3 != 2 {
			t.Fatalf("drew %s, which is not local unicast", mac)
		}
		if !mac.Drawn() || !strings.HasPrefix(mac.String(), nic.MACPrefix) {
			t.Fatalf("drew %s, which does not begin with %s", mac, nic.MACPrefix)
		}
		var back nic.MAC
		text, _ := json.Marshal(mac)
		if err := json.Unmarshal(text, &back); err != nil || back != mac {
			t.Fatalf("%s came back as %s, %v", mac, back, err)
		}
	})
	seen := map[nic.MAC]bool{}
	for range 1000 {
		seen[nic.NewMAC()] = true
	}
	if len(seen) < 999 {
		t.Errorf("1,000 draws gave %d MACs; 32 bits are to be random", len(seen))
	}
	if (nic.MAC{0x52, 0x54, 0, 0, 0xe2, 0x4e}).Drawn() || (nic.MAC{}).Drawn() {
		t.Error("a foreign MAC is taken for one that NewMAC drew")
	}
	var zero nic.MAC
	if err := json.Unmarshal([]byte(`""`), &zero); err != nil || !zero.IsZero() {
		t.Errorf("the empty text: got %v, %v; want the zero MAC", zero, err)
	}
}

func TestInterfaceNames(t *testing.T) {
	for _, good := range []string{"eth0", "E", "net-1.2_3", "abcdefghijklmno"} {
		if err := nic.CheckInterfaceName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "0eth", "-f", "abcdefghijklmnop", "a b", "a/b", "é", "lo", "all", "default", ".", "..", "a:b", "a%d"} {
		if nic.CheckInterfaceName(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// An owner's key is unique and cannot be forged by its parts.
func TestOwnerKeys(t *testing.T) {
	good := nic.Owner{Node: "vm1", Kind: nic.OwnerContainer, Sandbox: "0123abcd", Interface: "eth0"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, spoil := range []func(*nic.Owner){
		func(o *nic.Owner) { o.Node = "a/b" },
		func(o *nic.Owner) { o.Node = "" },
		func(o *nic.Owner) { o.Kind = "pod" },
		func(o *nic.Owner) { o.Sandbox = "../x" },
		func(o *nic.Owner) { o.Sandbox = "" },
		func(o *nic.Owner) { o.Interface = "eth0/1" },
	} {
		bad := good
		spoil(&bad)
		if bad.Validate() == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestConditionsKeepTheirStart(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var cs []nic.Condition
	c := nic.Condition{Reason: nic.ReasonWaitingForDHCP, Message: "no lease yet", Since: begin}
	if !nic.SetCondition(&cs, c) {
		t.Error("a new condition is a change")
	}
	c.Since = begin.Add(time.Hour)
	if nic.SetCondition(&cs, c) || !cs[0].Since.Equal(begin) {
		t.Errorf("the same again is no change and keeps its start; got %v", cs)
	}
	c.Message = "server said no"
	if !nic.SetCondition(&cs, c) || len(cs) != 1 || !cs[0].Since.Equal(begin) {
		t.Errorf("other words are a change with the old start; got %v", cs)
	}
	if nic.ClearCondition(&cs, nic.ReasonExhausted) || !nic.ClearCondition(&cs, nic.ReasonWaitingForDHCP) || len(cs) != 0 {
		t.Errorf("clearing takes exactly the named; left %v", cs)
	}
}

// Every phase but the last leads somewhere, and only returning leads out of
// a container.
func TestPhasesLeadHome(t *testing.T) {
	phases := []nic.Phase{nic.PhasePlanned, nic.PhaseSpare, nic.PhaseHeld, nic.PhaseReturning, nic.PhaseCooling, nic.PhaseRetiring}
	for _, p := range phases[:5] {
		leads := false
		for _, next := range phases {
			leads = leads || p.CanBecome(next)
		}
		if !leads {
			t.Errorf("%s leads nowhere", p)
		}
	}
	if nic.PhaseHeld.CanBecome(nic.PhaseRetiring) || nic.PhaseHeld.CanBecome(nic.PhaseCooling) {
		t.Error("a held NIC may be retired without the node's word that it is clean")
	}
	if nic.ClaimReleasing.CanBecome(nic.ClaimPending) {
		t.Error("a releasing claim may come back")
	}
}

func TestFaultsTellAll(t *testing.T) {
	var fs nic.Faults
	if fs.Err() != nil {
		t.Error("no faults are no error")
	}
	fs.Add("a", "is %d", 1)
	fs.Add("b", "is 2")
	if got := fs.Err().Error(); got != "a: is 1\nb: is 2" {
		t.Errorf("got %q", got)
	}
	if got := nic.AsFaults(fs.Err()); len(got) != 2 || !strings.HasPrefix(got[0].Error(), "a:") {
		t.Errorf("got %v", got)
	}
}
