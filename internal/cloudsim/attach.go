package cloudsim

import "context"

// An AttachInterface plugs an interface into an instance.
type AttachInterface struct {
	Interface, Instance string
	Device              int
	// Card is nil where it is not said, which is 0.
	Card *int
}

// AttachInterface begins to attach: it is attached by itself, later.
func (c *Cloud) AttachInterface(ctx context.Context, call Call, r AttachInterface) (Attachment, error) {
	return Attachment{}, errNotBuilt
}

// A DetachInterface takes an interface out of its instance.
type DetachInterface struct {
	Attachment string
	// Force ends also a detaching that is stuck.
	Force bool
}

// DetachInterface begins to detach: it is detached by itself, later.
func (c *Cloud) DetachInterface(ctx context.Context, call Call, r DetachInterface) error {
	return errNotBuilt
}
