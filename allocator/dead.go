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
	return a.offByAll(ctx, node)
}

// offByAll: a provider says that the node's machine is off, and none that it runs or
// does not answer. Several may know one of that name, such as two hypervisors after a
// machine went from one to the other: the first has it still, and off.
func (a *Allocator) offByAll(ctx context.Context, node nic.Node) (why string, dead bool, err error) {
	var errs []error
	runs := false
	for _, of := range slices.Sorted(maps.Keys(a.opts.Providers)) {
		off, known, err := a.off(ctx, of, node)
		switch {
		case err != nil:
			errs = append(errs, err)
		case known && !off:
			runs = true
		case known && why == "":
			why = fmt.Sprintf("provider %s says that machine %s of node %s is off", of, instanceOf(node, of), node.Name)
		}
	}
	if err := errors.Join(errs...); err != nil || runs || why == "" {
		return "", false, err
	}
	return why, true, nil
}

// off asks a provider that sees machines whether the node's is off. One that is not
// its own it knows nothing of.
func (a *Allocator) off(ctx context.Context, of string, node nic.Node) (off, known bool, err error) {
	p := a.opts.Providers[of]
	power, ok := provider.As[provider.Powered](p)
	_, its := node.Instances[of]
	if !ok || !its && len(node.Instances) > 0 {
		return false, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, worstCall(p))
	defer cancel()
	off, err = power.Off(ctx, instanceOf(node, of))
	switch {
	case errors.Is(err, provider.ErrNotFound) || errors.Is(err, provider.ErrInvalid):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("ask provider %s whether the machine of node %s is off: %w", of, node.Name, err)
	}
	return off, true, nil
}
