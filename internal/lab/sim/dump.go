//go:build linux

package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// dump writes all records to a store file, as a controller that has ended leaves them.
func dump(ctx context.Context, from store.Store, path string) (err error) {
	to, err := boltstore.Open(ctx, path, boltstore.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	for after := ""; ; {
		records, _, err := from.List(ctx, "", after, 5000)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		for batch := range slices.Chunk(records, 500) {
			var ops []store.Op
			for _, r := range batch {
				if !strings.HasPrefix(r.Key, store.LeaderPrefix) { // whoever starts leads anew
					ops = append(ops, store.Create(r.Key, r.Value))
				}
			}
			if _, err := to.Commit(ctx, ops...); err != nil {
				return fmt.Errorf("write the records of the peak to %s: %w", path, err)
			}
		}
		after = records[len(records)-1].Key
	}
}
