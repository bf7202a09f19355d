"""The expected failures of the state machine, and their effects.

ChainError                       input from outside is not acceptable
├── DecodeError                  edges: not a canonical record; the sender is to blame
├── InvalidKey                   edges: not an Ed25519 key of the prime-order subgroup
├── InvalidProof                 a Merkle proof does not lead to the expected root
├── InvalidTransaction(code)     mempool: drop it; in a block: the block is invalid
├── InvalidBlock                 consensus: prevote nil; sync: punish the peer
│   └── ForgedBody               says nothing about the block: the peer that sent it is to blame
├── InvalidChainSpec             the genesis file is refused
└── DispatchError                one call is refused; its changes are dropped, the fee is kept
    └── one subclass per reason, declared by its module with `@MODULE.error(number)`

Anything else is a bug and stops the node.
"""

from typing import ClassVar

from chain.primitives.errors import ChainError, DecodeError, InvalidKey

__all__ = [
    "ChainError",
    "DecodeError",
    "DispatchError",
    "ForgedBody",
    "InvalidBlock",
    "InvalidChainSpec",
    "InvalidKey",
    "InvalidProof",
    "InvalidTransaction",
]


class InvalidProof(ChainError):
    """The proof does not lead to the root."""


class InvalidTransaction(ChainError):
    """The transaction cannot be in a block now; `code` is the reason, the same in CLI, API and docs."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class InvalidBlock(ChainError):
    """The block breaks a rule; no honest validator votes for it."""


class ForgedBody(InvalidBlock):
    """Inherents and transactions are not those that the header binds; the block itself may be valid."""


class InvalidChainSpec(ChainError):
    """The chain spec is malformed or breaks a rule; the message names the place."""


class DispatchError(ChainError):
    """A call is refused. Receipts carry (`module`, `number`); people read `code`."""

    module: ClassVar[int] = 0
    number: ClassVar[int] = 0
    code: ClassVar[str] = "dispatch.refused"
