"""Everything that a node does with content: hosting and selling its own, buying, scrubbing."""

from pathlib import Path

from chain.primitives.types import Address
from chain.votes import Verify
from node.content.debts import DebtBook
from node.content.download_manager import DownloadManager
from node.content.downloads import BuyerMemory, DownloadLimits, LossBook, PaymentBook
from node.content.lane import ContentLane
from node.content.scrub import Scrubber
from node.content.service import ContentService, ServiceLimits
from node.content.vouchers import VoucherBook
from node.home.config import NodeConfig
from node.ledger.ledger import Ledger
from p2p.network import Network
from storage.content.store import ContentStore
from storage.kv import LevelDbStore


class ContentServices:
    """The parts. A node without an account hosts nothing: it has no voucher book and serves no one."""

    def __init__(
        self,
        network: Network,
        ledger: Ledger,
        config: NodeConfig,
        account: Address | None,
        store: ContentStore,
        vouchers: LevelDbStore,
        verify: Verify,
        losses: Path,
    ) -> None:
        """`losses` is the file that names hosts which took pay and did not deliver."""
        self.lane = ContentLane(store)
        self.scrubber = Scrubber(self.lane, config.scrub_bytes_per_second)
        downloads = DownloadLimits(bytes_per_second_max=config.download_bytes_per_second or None)
        memory = BuyerMemory(PaymentBook(vouchers), LossBook(losses))
        self.downloads = DownloadManager(network, ledger, self.lane, downloads, memory)
        uploads = ServiceLimits(bytes_per_second_max=config.upload_bytes_per_second or None)
        self.book: VoucherBook | None = None
        self.service: ContentService | None = None
        if account is not None:
            self.book = VoucherBook(vouchers, account)
            debts = DebtBook(vouchers, account)
            self.service = ContentService(network, ledger, self.lane, self.book, debts, uploads, verify)
