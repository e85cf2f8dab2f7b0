// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Copies memory by the first DMA engine there is, through the kernel's dmaengine interface, as dmatest does (Debian's kernel has no
 * dmatest). Each copy is waited for by its completion callback, so by an interrupt, and compared with its surroundings byte by byte.
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>

#define AREA (256 * 1024)

static int count = 200;
module_param(count, int, 0444);

static void copied(void *argument)
{
	complete(argument);
}

/* Length and places as dmatest takes them: any, aligned to what the engine asks for. */
static int copy_once(struct dma_chan *chan, u8 *source, u8 *target, u8 *expected)
{
	struct dma_device *dma = chan->device;
	size_t align = 1UL << dma->copy_align;
	size_t length = max_t(size_t, ALIGN_DOWN(get_random_u32() % (AREA / 2), align), align);
	size_t from = ALIGN_DOWN(get_random_u32() % (AREA / 2), align);
	size_t to = ALIGN_DOWN(get_random_u32() % (AREA / 2), align);
	struct dma_async_tx_descriptor *tx;
	DECLARE_COMPLETION_ONSTACK(done);
	dma_addr_t from_dma, to_dma;
	dma_cookie_t cookie;
	int result = 0;

	get_random_bytes(source, AREA);
	memset(target, 0x5a, AREA);
	memset(expected, 0x5a, AREA);
	memcpy(expected + to, source + from, length);
	from_dma = dma_map_single(dma->dev, source, AREA, DMA_TO_DEVICE);
	to_dma = dma_map_single(dma->dev, target, AREA, DMA_BIDIRECTIONAL);
	tx = dmaengine_prep_dma_memcpy(chan, to_dma + to, from_dma + from, length,
				       DMA_CTRL_ACK | DMA_PREP_INTERRUPT);
	if (!tx) {
		result = -ENOMEM;
		goto unmap;
	}
	tx->callback = copied;
	tx->callback_param = &done;
	cookie = dmaengine_submit(tx);
	dma_async_issue_pending(chan);
	if (!wait_for_completion_timeout(&done, 20 * HZ))
		result = -ETIMEDOUT;
	else if (dma_async_is_tx_complete(chan, cookie, NULL, NULL) != DMA_COMPLETE)
		result = -EIO;
unmap:
	dma_unmap_single(dma->dev, from_dma, AREA, DMA_TO_DEVICE);
	dma_unmap_single(dma->dev, to_dma, AREA, DMA_BIDIRECTIONAL);
	if (!result && memcmp(target, expected, AREA))
		result = -EILSEQ;
	if (result)
		pr_err("copies: %zu bytes from %zu to %zu: %d\n", length, from, to, result);
	return result;
}

static int __init copies_init(void)
{
	u8 *source = kmalloc(AREA, GFP_KERNEL);
	u8 *target = kmalloc(AREA, GFP_KERNEL);
	u8 *expected = kmalloc(AREA, GFP_KERNEL);
	struct dma_chan *chan = NULL;
	dma_cap_mask_t mask;
	int done = 0, result = -ENOMEM;

	if (!source || !target || !expected)
		goto free;
	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	chan = dma_request_channel(mask, NULL, NULL);
	result = chan ? 0 : -ENODEV;
	for (; !result && done < count; done += !result)
		result = copy_once(chan, source, target, expected);
	pr_info("copies: %d of %d by %s: %d\n", done, count, chan ? dma_chan_name(chan) : "nobody", result);
	if (chan)
		dma_release_channel(chan);
free:
	kfree(source);
	kfree(target);
	kfree(expected);
	return result;
}

static void __exit copies_exit(void)
{
}

module_init(copies_init);
module_exit(copies_exit);
MODULE_DESCRIPTION("Memory copies by a DMA engine, verified");
MODULE_LICENSE("Dual MIT/GPL");
