//go:build !linux

package poll

import "errors"

// Available says whether New works.
const Available = false

const ctlAdd, ctlModify, ctlRemove = 0, 0, 0

type event struct{}

func newEvent(_, _, _ uint32) *event { return nil }

func (*event) place() (slot, turn uint32) { return 0, 0 }

func (*event) told() Events { return 0 }

func mask(Wants) uint32 { return 0 }

func create() (int, error) { return 0, errors.ErrUnsupported }

func control(_, _, _ int, _ *event) error { return errors.ErrUnsupported }

func wait(int, []event) int { return 0 }
