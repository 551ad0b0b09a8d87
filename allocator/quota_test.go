package allocator_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A tenant gets as many NICs as its quota says, over all nodes and restarts; a
// refused container gets the next that is given back. Other tenants do not notice.
func TestAQuotaOfNICs(t *testing.T) {
	t.Parallel()
	tenanted(t, []nic.Tenant{{Name: "blue", Quota: nic.Quota{NICs: 2}}}, func(r *tenantRig) {
		first := r.ask("vm1", "0001", nic.Request{Network: "blue"})
		r.ask("vm3", "0002", nic.Request{Network: "blue", Tenant: "blue"})
		before := r.records()
		third := r.ask("vm1", "0003", nic.Request{Network: "blue"})
		if third.Phase != nic.ClaimRefused || third.Conditions[0].Reason != nic.ReasonQuotaExceeded ||
			!strings.Contains(third.Conditions[0].Message, "tenant blue has 2 of 2 NICs") {
			t.Fatalf("the third is %+v", third)
		}
		if after := r.records(); after != before || third.Identity.MAC != (nic.MAC{}) || len(r.audited(third.ID)) != 1 {
			t.Errorf("something was made:\n%s\nbefore:\n%s", after, before)
		}
		if other := r.ask("vm2", "0004", nic.Request{Network: "red"}); other.NIC == "" {
			t.Errorf("red's is %+v", other)
		}
		r.wait(10 * time.Second)
		r.stop()
		r.begin()
		r.wait(10 * time.Second)
		if got := r.claim(third.ID); got.Phase != nic.ClaimRefused {
			t.Errorf("after a restart the third is %+v", got)
		}
		r.release("vm1", r.claim(first.ID))
		if got := r.claim(third.ID); got.NIC == "" || got.Phase != nic.ClaimReady {
			t.Errorf("the third is %+v, after one was given back", got)
		}
		if got := r.ask("vm1", "0005", nic.Request{Network: "blue"}); got.Phase != nic.ClaimRefused {
			t.Errorf("the fourth is %+v", got)
		}
	})
}

// Addresses of both IP versions count, and those that are refused leave nothing
// reserved.
func TestAQuotaOfAddresses(t *testing.T) {
	t.Parallel()
	tenanted(t, []nic.Tenant{{Name: "blue", Quota: nic.Quota{Addresses: 3}}}, func(r *tenantRig) {
		r.stop()
		r.networks[0].Subnets = append(r.networks[0].Subnets, nic.Subnet{
			Prefix: netip.MustParsePrefix("fd00::/64"),
			Ranges: []nic.Range{{First: netip.MustParseAddr("fd00::10"), Last: netip.MustParseAddr("fd00::ff")}},
		})
		r.begin()
		r.wait(time.Second)
		first := r.ask("vm1", "0001", nic.Request{Network: "blue"})
		before := r.records()
		second := r.ask("vm1", "0002", nic.Request{Network: "blue"})
		if second.Phase != nic.ClaimRefused || !strings.Contains(second.Conditions[0].Message, "tenant blue has 2 of 3 addresses, and needs 2") {
			t.Fatalf("the second is %+v", second)
		}
		if after := r.records(); after != before {
			t.Errorf("something was made:\n%s\nbefore:\n%s", after, before)
		}
		if one := r.ask("vm1", "0003", nic.Request{Network: "shared"}); one.NIC == "" {
			t.Errorf("there was one left, and %+v did not get it", one)
		}
		r.wait(5 * time.Second)
		r.release("vm1", r.claim(first.ID))
		r.wait(time.Minute)
		if got := r.claim(second.ID); got.NIC == "" {
			t.Errorf("the second is %+v, after two were given back", got)
		}
	})
}

// An address that cools down is nobody's to have, so it counts for the tenant that
// had it: one that takes and gives back in a loop leaves others theirs. Who had it
// may have it back at once.
func TestAnAddressThatCoolsDownCounts(t *testing.T) {
	t.Parallel()
	tenanted(t, []nic.Tenant{{Name: "blue", Quota: nic.Quota{Addresses: 1}}}, func(r *tenantRig) {
		first := r.ask("vm1", "0001", nic.Request{Network: "shared"})
		r.wait(5 * time.Second)
		r.release("vm1", r.claim(first.ID))
		begin := time.Now()
		again := r.ask("vm1", "0001", nic.Request{Network: "shared"})
		r.wait(5 * time.Second)
		if again = r.claim(again.ID); again.NIC == "" || again.Identity.Addrs[0] != first.Identity.Addrs[0] {
			t.Fatalf("the next of that name is %+v, and had %v", again, first.Identity.Addrs)
		}
		r.release("vm1", again)
		ended := time.Now()
		second := r.ask("vm1", "0002", nic.Request{Network: "shared"})
		if second.Phase != nic.ClaimRefused || second.Conditions[0].Reason != nic.ReasonQuotaExceeded ||
			!strings.Contains(second.Conditions[0].Message, "tenant blue has 1 of 1 addresses, some of which cool down, and needs 1 for this container; it is tried again at ") {
			t.Fatalf("the next of another name is %+v, %s later", second, time.Since(begin))
		}
		for range 2 { // restarted, it counts the same
			r.stop()
			r.begin()
			r.wait(time.Second)
			if got := r.claim(second.ID); got.NIC != "" {
				t.Fatalf("after a restart it is %+v", got)
			}
		}
		if other := r.ask("vm2", "0003", nic.Request{Network: "shared"}); other.NIC == "" {
			t.Errorf("red's is %+v", other)
		}
		r.wait(time.Until(ended.Add(30 * time.Second)))
		if got := r.claim(second.ID); got.NIC == "" {
			t.Errorf("after the cool-down it is %+v", got)
		}
	})
}

// However many ask at once, a quota is not passed, and not left unused.
func TestAQuotaUnderABurst(t *testing.T) {
	t.Parallel()
	tenanted(t, []nic.Tenant{{Name: "red", Quota: nic.Quota{NICs: 5}}}, func(r *tenantRig) {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				o := owner(fmt.Sprintf("%04x", i))
				o.Node = []string{"vm2", "vm3"}[i%2]
				if _, err := r.alloc.Acquire(t.Context(), o, fmt.Sprintf("c%d", i), nic.Request{Interface: "eth0", Network: "red"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		r.wait(time.Minute)
		claims, err := r.alloc.Claims(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		have, refused := 0, 0
		for _, c := range claims {
			if c.NIC != "" {
				have++
			} else if c.Phase == nic.ClaimRefused && c.Conditions[0].Reason == nic.ReasonQuotaExceeded {
				refused++
			}
		}
		if have != 5 || refused != 35 {
			t.Errorf("%d have a NIC and %d are refused, of 40 with a quota of 5", have, refused)
		}
	})
}

// S13: thousands of containers that are refused, and hundreds of NICs that are
// being made, do not hold up another tenant's. By the clock it waits no more
// than a turn for each of its own.
func TestS13_ThousandsThatWaitDoNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	waits := func(flood int) time.Duration {
		var took time.Duration
		synctestRun(t, func(r *tenantRig) {
			r.wait(0) // until the controller leads: before that each choice reads all claims
			var wg sync.WaitGroup
			for i := range flood {
				wg.Go(func() {
					o := owner(fmt.Sprintf("%04x", i))
					o.Node = fmt.Sprintf("red%d", i%20)
					if _, err := r.alloc.Acquire(t.Context(), o, fmt.Sprintf("c%d", i), nic.Request{Interface: "eth0", Network: "wide"}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			begin := time.Now()
			for i := range 20 {
				o := owner(fmt.Sprintf("b%03x", i))
				o.Node = "vm1"
				claim, err := r.alloc.Acquire(t.Context(), o, fmt.Sprintf("b%d", i), nic.Request{Interface: "eth0", Network: "wide"})
				if err != nil {
					t.Fatal(err)
				}
				r.wants(claim.ID, nic.ClaimReady, time.Minute)
			}
			took = time.Since(begin)
		})
		return took
	}
	flood := 1000
	if long() {
		flood = 10000
	}
	idle, flooded := waits(0), waits(flood)
	t.Logf("20 NICs one after the other: %s, beside %d of another tenant's: %s", idle, flood, flooded)
	if flooded > idle*3/2 {
		t.Errorf("%s, and %s beside %d of another tenant's", idle, flooded, flood)
	}
}

// synctestRun is tenanted with one wide network, 20 nodes of red's, of whose NICs
// some hundred may be at a time, and a cloud whose calls take a while.
func synctestRun(t *testing.T, test func(r *tenantRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		most := 200
		if long() {
			most = 400
		}
		r := newTenantRig(t, []nic.Tenant{{Name: "red", Quota: nic.Quota{NICs: most}}},
			fake.Options{CallTime: 10 * time.Millisecond, Latency: fake.Latency{Attach: 50 * time.Millisecond}, NICsPerInstance: 64})
		r.networks = append(r.networks, nic.Network{
			Name: "wide", Provider: "fake", Addressing: nic.AddrDHCP, Space: "default", Tenants: []string{"red", "blue"}, Hold: nic.Duration(time.Minute),
		})
		for i := range 20 {
			r.of[fmt.Sprintf("red%d", i)] = []string{"red"}
		}
		r.through(test)
	})
}
