"""The strings of the Words tab's view "Search"."""

SEARCH: dict[str, tuple[str, str]] = {
    "part_search": ("Search", "搜索"),
    # where to look
    "search_source": ("Look in", "搜索范围"),
    "search_source_drawings": ("six drawings", "六张图画"),
    "search_source_upload": ("my pictures", "我的图片"),
    "search_source_place": ("a folder or data set", "文件夹或数据集"),
    "search_source_place_public": ("a data set", "数据集"),
    "search_files": ("Pictures", "图片"),
    "search_folder": ("Or a whole folder", "或整个文件夹"),
    "search_limits": (
        "Up to {pictures} pictures of {megapixels} megapixels together. They are deleted after an hour, their index "
        "with your visit.",
        "最多 {pictures} 张图片，共 {megapixels} 百万像素。图片一小时后删除，索引随访问结束删除。",
    ),
    "search_place": ("Folder or data set", "文件夹或数据集"),
    "search_place_info": (
        "A folder of this machine, or a Hub id OWNER/NAME. The index stays there for `cvhub search`.",
        "本机的文件夹，或 Hub 编号 OWNER/NAME。索引保留在那里，供 `cvhub search` 使用。",
    ),
    "search_place_public": ("Data set", "数据集"),
    "search_place_public_info": ("A Hub id OWNER/NAME, of a public data set.", "公开数据集的 Hub 编号 OWNER/NAME。"),
    "search_split": ("Split", "划分"),
    "search_split_info": (
        "Of a data set: test unless given, else validation, else the only one.",
        "数据集的划分：默认为 test，其次 validation，再次为唯一的划分。",
    ),
    "search_update": ("Index, or take up what changed", "建立索引，或更新有变动的部分"),
    "search_no_files": ("Choose pictures on the left.", "请在左侧选择图片。"),
    "search_no_place": (
        "Type a folder of this machine or a data set of the Hub on the left, then index it.",
        "请在左侧输入本机的文件夹或 Hub 上的数据集，然后建立索引。",
    ),
    "search_no_place_public": (
        "Type a data set of the Hub on the left, then index it.",
        "请在左侧输入 Hub 上的数据集，然后建立索引。",
    ),
    "search_unknown_place": (
        "'{place}' is neither a folder of this machine nor a Hub id OWNER/NAME.",
        "“{place}” 既不是本机的文件夹，也不是 OWNER/NAME 形式的 Hub 编号。",
    ),
    "search_hub_only": (
        "This page is open to others, so that it reads no folder of its machine: expected a Hub id OWNER/NAME.",
        "此页面对他人开放，因此不读取本机的文件夹：应为 OWNER/NAME 形式的 Hub 编号。",
    ),
    "search_too_many": (
        "There are more than {most} pictures, which is the limit here.",
        "图片超过了此处 {most} 张的上限。",
    ),
    "search_too_large": (
        "The pictures have {n} megapixels together, the limit here is {most}.",
        "图片共 {n} 百万像素，此处的上限为 {most}。",
    ),
    # what to look for
    "search_by": ("Look for", "搜索依据"),
    "search_by_words": ("words", "词语"),
    "search_by_picture": ("a picture", "图片"),
    "search_words": ("What the pictures should show", "图片应显示的内容"),
    "search_words_info": ("Any words.", "任意词语。"),
    "search_top_k": ("Results", "结果数量"),
    "search_top_k_info": ("So many of the nearest are shown.", "显示最接近的这么多张。"),
    # how far the index is
    "search_opening": ("Opening the pictures …", "正在打开图片……"),
    "search_indexing": ("Indexing: {done} of {total} pictures.", "正在建立索引：{done} / {total} 张图片。"),
    "search_indexing_some": ("Indexing: {done} pictures so far.", "正在建立索引：已完成 {done} 张图片。"),
    # results
    "search_row": ("row {n}", "第 {n} 行"),
    "search_results": ("The nearest pictures, best first", "最接近的图片，由近及远"),
    "search_nothing": ("None of the pictures could be read.", "没有可以读取的图片。"),
    "search_found_words": (
        "“{words}” is nearest to {name}, with a cosine of {cosine}.",
        "与 “{words}” 最接近的是 {name}，余弦为 {cosine}。",
    ),
    "search_emoji": ("An emoji is looked for by its name: “{words}”.", "emoji 按其名称搜索：“{words}”。"),
    "search_found_picture": (
        "Nearest to your picture is {name}, with a cosine of {cosine}.",
        "与你的图片最接近的是 {name}，余弦为 {cosine}。",
    ),
    "search_found_like": (
        "Nearest to {like} is {name}, with a cosine of {cosine}.",
        "与 {like} 最接近的是 {name}，余弦为 {cosine}。",
    ),
    "search_back": ("Back to what you looked for", "回到原来的搜索"),
    "search_cost": (
        "Pictures compared: {n}, in {search}. What is looked for was embedded in {embedding}.",
        "与 {n} 张图片比较用时 {search}；嵌入搜索内容用时 {embedding}。",
    ),
    "search_cost_like": (
        "Pictures compared: {n}, in {search}. Its own embedding is in the index.",
        "与 {n} 张图片比较用时 {search}；它的嵌入已在索引中。",
    ),
    "search_more": ("More like {name}", "更多类似 {name} 的图片"),
    "search_missing": ("no longer there", "已不在原处"),
    "search_changed": ("changed since", "此后已更改"),
    "search_note": (
        "All scores at once: {formula}, where the rows of E are the pictures' embeddings and e is that of what you "
        "look for, all of length 1: each score is a cosine, −1 to 1. Words and pictures that belong together score "
        "lower than two pictures that do. Of a million pictures all take 45 ms on two cores; beyond, a faiss index "
        "(IVF1024,SQ8) would take 2 ms and find 83 % of the ten nearest. Click a picture for more like it.",
        "一次得出全部分数：{formula}，其中 E 的每行为一张图片的嵌入，e 为搜索内容的嵌入，长度均为 1：每个分数都是余弦，"
        "介于 −1 与 1 之间。相配的词语与图片，其分数低于相配的两张图片。一百万张图片全部比较在双核上用时 45 ms；"
        "更多时可用 faiss 索引（IVF1024,SQ8），约 2 ms，能找到最近十张中的 83 %。点击图片可找到更多类似的图片。",
    ),
    # the index
    "search_index": ("The index", "索引"),
    "search_index_told": (
        "Pictures in it: {n} ({counts}); made or brought up to date in {time}.",
        "{n} 张图片（{counts}），建立或更新用时 {time}。",
    ),
    "search_kept_count": ("{n} kept", "保留 {n}"),
    "search_added_count": ("{n} added", "新增 {n}"),
    "search_changed_count": ("{n} changed", "更改 {n}"),
    "search_removed_count": ("{n} removed", "移除 {n}"),
    "search_failed_count": ("{n} failed", "失败 {n}"),
    "search_joint": (", ", "，"),
    "search_stays": ("It stays in {folder}.", "保留在 {folder} 中。"),
    "search_visits": ("It is kept for this visit only.", "仅为本次访问保留。"),
    "search_failures": ("What could not be read", "无法读取的图片"),
    "search_more_failed": ("and {n} more", "另有 {n} 张"),
}
