package migrate_test

import (
	"testing"

	"github.com/nicferry/nicferry/migrate/saga"
	"github.com/nicferry/nicferry/nic"
)

// The journal writes a saga's words as they are: they are a move's, letter by letter.
func TestASagasWordsAreAMoves(t *testing.T) {
	for word, want := range map[saga.Phase]nic.MovePhase{
		saga.Forward: nic.MoveForward, saga.Back: nic.MoveBack, saga.Finishing: nic.MoveFinishing,
		saga.Parked: nic.MoveParked, saga.Done: nic.MoveDone, saga.Undone: nic.MoveUndone,
	} {
		if string(word) != string(want) || word.Over() != want.Over() {
			t.Errorf("phase %q of a saga (over: %v) is %q of a move (over: %v)", word, word.Over(), want, want.Over())
		}
	}
	for word, want := range map[saga.StepState]nic.MoveStepState{
		saga.StepOpen: nic.StepOpen, saga.StepDoing: nic.StepDoing, saga.StepDone: nic.StepDone,
		saga.StepUndoing: nic.StepUndoing, saga.StepUndone: nic.StepUndone,
	} {
		if string(word) != string(want) {
			t.Errorf("state %q of a saga's step is %q of a move's", word, want)
		}
	}
}
