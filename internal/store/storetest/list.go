package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nicferry/nicferry/internal/store"
)

func listPages(t *testing.T, o Opened) {
	const total = 25
	var ops []store.Op
	for i := range total {
		ops = append(ops, put(fmt.Sprintf("nic/%02d", (i*7)%total), "v"))
	}
	ops = append(ops, put("nia", "v"), put("nic", "v"), put("nid", "v"))
	rev := commit(t, o.Store, ops...)
	for _, limit := range []int{1, 7, 25, 26, 0} {
		var all []string
		for after := ""; ; {
			page, at, err := o.Store.List(t.Context(), "nic/", after, limit)
			if err != nil {
				t.Fatal(err)
			}
			if at < rev {
				t.Errorf("limit %d: got revision %d, want no less than %d", limit, at, rev)
			}
			if limit > 0 && len(page) > limit {
				t.Fatalf("limit %d: a page of %d", limit, len(page))
			}
			if len(page) == 0 {
				break
			}
			for _, rec := range page {
				all = append(all, rec.Key)
			}
			after = page[len(page)-1].Key
		}
		if len(all) != total {
			t.Fatalf("limit %d: got %d records, want %d", limit, len(all), total)
		}
		for i, key := range all {
			if want := fmt.Sprintf("nic/%02d", i); key != want {
				t.Errorf("limit %d: record %d is %q, want %q", limit, i, key, want)
			}
		}
	}
	if _, _, err := o.Store.List(t.Context(), "", "", -1); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("negative limit: got %v, want ErrInvalid", err)
	}
}

func listTakesPrefixAndAfter(t *testing.T, o Opened) {
	list := func(prefix, after string, want ...string) {
		t.Helper()
		recs, _, err := o.Store.List(t.Context(), prefix, after, 0)
		if err != nil {
			t.Fatal(err)
		}
		wantKeys(t, recs, want...)
	}
	list("", "")
	commit(t, o.Store, put("a", ""), put("b/1", ""), put("b/2", ""), put("b0", ""), put("ü", ""), put("\x00", ""))
	list("", "", "\x00", "a", "b/1", "b/2", "b0", "ü")
	list("b/", "", "b/1", "b/2")
	list("b/", "b/1", "b/2")
	list("b/", "b/10", "b/2") // after need not exist
	list("b/", "b/2")
	list("b/", "c")                    // after the prefix's last
	list("b/", "a", "b/1", "b/2")      // before its first
	list("b/1", "b/1")                 // the prefix is a key, and after it
	list("b/1", "", "b/1")             // the prefix is a key
	list("", "b/2", "b0", "ü")         // no prefix
	list("zzz", "")                    // nothing has it
	list("\xff", "")                   // nothing can have it
	list("", "\xff")                   // nothing is after it
	list("a", "\x00", "a")             // keys of one byte
	list("b", "b/1", "b/2", "b0")      // the prefix sorts before after
	list("b", "b", "b/1", "b/2", "b0") // a prefix that is no key, and after it
}
