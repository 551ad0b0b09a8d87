package allocator

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// What cools down counts until it has, also when it was taken in vain meanwhile,
// and not any more once it is another tenant's.
func TestWhatCoolsDownIsCounted(t *testing.T) {
	t.Parallel()
	s := memstore.New(memstore.Options{})
	defer s.Close()
	now := newClock(time.Now)
	u := newUsage([]nic.Tenant{{Name: "blue", Quota: nic.Quota{Addresses: 1}}})
	if err := u.follow(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	rev := store.Rev(1)
	rests := func(addr string, left time.Duration) {
		rev++
		end := now.now().Add(left)
		data, err := json.Marshal(nic.Reservation{Schema: nic.Schema, Tenant: "blue", Free: end, Until: end.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		u.see([]store.Event{{Record: store.Record{Key: "addr/default/" + addr, Value: data, Rev: rev}}})
	}
	take := func(tenant, addr string) (fill, *edit, bool) {
		e := &edit{ctx: t.Context(), store: s, clock: now, glances: newGlances()}
		of, undo, err := u.take(e, tenant, 1, "addr/default/"+addr)
		if err != nil {
			t.Fatal(err)
		}
		return of, e, undo != nil
	}
	rests("a", time.Hour)
	for range 2 { // its own it may have, and gives back with the edit
		_, e, ok := take("blue", "a")
		if !ok {
			t.Fatal("blue does not get what was its own")
		}
		e.rollBack()
	}
	if of, _, ok := take("blue", "b"); ok || of.has != 1 || of.room.Sub(now.now()).Round(time.Minute) != time.Hour {
		t.Errorf("blue gets another: %t, of %+v", ok, of)
	}
	rests("a", -time.Second)
	_, e, ok := take("blue", "b")
	if !ok {
		t.Error("blue does not get another after the cool-down")
	}
	e.rollBack()
	rests("a", -time.Second)
	if _, _, ok := take("red", "a"); !ok {
		t.Error("red does not get what has cooled down")
	}
	if _, _, ok := take("blue", "b"); !ok || len(u.rests["blue"]) > 0 {
		t.Errorf("what red has counts as blue's: %v", u.rests)
	}
}
