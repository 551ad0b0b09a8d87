package nic_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
)

// S13: a request that comes over the API is held to what labels are held to.
func TestRequestCheck(t *testing.T) {
	good := nic.Request{Interface: "eth0", Network: "web", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("fd00::7")}}
	if err := good.Check(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if err := (nic.Request{Interface: "eth0", Faults: nic.Faults{{Field: "nicferry.ip", Problem: "odd"}}}).Check(); err != nil {
		t.Errorf("one that says why it cannot be met: %v", err)
	}
	for want, edit := range map[string]func(*nic.Request){
		"interface: interface name": func(r *nic.Request) { r.Interface = "../x" },
		"network: network name":     func(r *nic.Request) { r.Network = strings.Repeat("x", 64) },
		"network: is missing":       func(r *nic.Request) { r.Network = "" },
		"addrs: 33 addresses": func(r *nic.Request) {
			r.Addrs = nil
			for i := range 33 {
				r.Addrs = append(r.Addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
			}
		},
		"addrs[2]: 10.0.0.7 is asked for twice": func(r *nic.Request) { r.Addrs = append(r.Addrs, r.Addrs[0]) },
		"addrs[0]: no address":                  func(r *nic.Request) { r.Addrs = []netip.Addr{{}} },
		"addrs[0]: ::ffff:10.0.0.7 cannot be":   func(r *nic.Request) { r.Addrs = []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.7")} },
		"addrs[0]: fd00::7 cannot be":           func(r *nic.Request) { r.Addrs = []netip.Addr{netip.MustParseAddr("fd00::7%\x1b[2J")} },
		"numa: -1":                              func(r *nic.Request) { r.NUMA = new(-1) },
		"numa: 1024":                            func(r *nic.Request) { r.NUMA = new(1024) },
		"faults: 18 faults, at most 17":         func(r *nic.Request) { r.Faults = make(nic.Faults, 18) },
		"faults[0]: longer than":                func(r *nic.Request) { r.Faults = nic.Faults{{Problem: strings.Repeat("x", 10000)}} },
	} {
		r := good
		edit(&r)
		if text := fmt.Sprint(r.Check()); !strings.HasPrefix(text, want) || strings.Contains(text, "\x1b") {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

// What hostile labels lead to must pass, or their user would never see why.
func TestWorstLabelsPassTheCheck(t *testing.T) {
	labels := map[string]string{}
	for i := range 40 {
		labels[fmt.Sprintf("nicferry.%d%s", i, strings.Repeat("\x1b", 1000))] = "x"
	}
	var list []string
	for i := range 60 {
		list = append(list, fmt.Sprintf("10.0.0.%d", i+1))
	}
	labels[nic.LabelIP] = strings.Join(list, ",")
	labels[nic.LabelNIC+"eth0"] = strings.Repeat("\x01", 1024)
	requests := nic.ParseLabels(labels)
	if len(requests) != 1 || len(requests[0].Addrs) != 32 {
		t.Fatalf("got %d requests, %d addresses", len(requests), len(requests[0].Addrs))
	}
	if err := requests[0].Check(); err != nil {
		t.Error(err)
	}
}
