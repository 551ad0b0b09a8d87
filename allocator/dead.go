package allocator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Dead says whether nothing can run on the node, and how that is known: an operator
// has given it up, or its machine is off by the word of a provider. No answer of
// its agent is no proof, and neither is an error.
func (a *Allocator) Dead(ctx context.Context, name string) (why string, dead bool, err error) {
	node, _, found, err := get[nic.Node](a.reader(ctx), nodeKey(name))
	switch {
	case err != nil:
		return "", false, err
	case !found:
		return fmt.Sprintf("node %s has been forgotten", name), true, nil
	case node.Phase == nic.NodeLost:
		return fmt.Sprintf("an operator has said that node %s is gone for good", name), true, nil
	}
	var errs []error
	for _, of := range slices.Sorted(maps.Keys(a.opts.Providers)) {
		off, err := a.off(ctx, of, node)
		if err != nil {
			errs = append(errs, err)
		}
		if off {
			return fmt.Sprintf("provider %s says that machine %s of node %s is off", of, instanceOf(node, of), name), true, nil
		}
	}
	return "", false, errors.Join(errs...)
}

// off asks a provider that sees machines whether the node's is off. One that is not
// its own it knows nothing of.
func (a *Allocator) off(ctx context.Context, of string, node nic.Node) (bool, error) {
	p := a.opts.Providers[of]
	power, ok := provider.As[provider.Powered](p)
	_, its := node.Instances[of]
	if !ok || !its && len(node.Instances) > 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, worstCall(p))
	defer cancel()
	off, err := power.Off(ctx, instanceOf(node, of))
	switch {
	case errors.Is(err, provider.ErrNotFound) || errors.Is(err, provider.ErrInvalid):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask provider %s whether the machine of node %s is off: %w", of, node.Name, err)
	}
	return off, nil
}
